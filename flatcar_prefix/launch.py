# SPDX-License-Identifier: BSD-3-Clause
"""Run a command of this program: ``python -I launch.py <name> [argument ...]``.

Generated scripts call this file rather than ``python -m``, which searches the caller's
current directory for modules first.
"""

import runpy
import sys
from pathlib import Path

MODULES = {
    "flatcar-prefix": "flatcar_prefix",
    "emerge": "flatcar_prefix.emerge",
    "equery": "flatcar_prefix.equery",
    "portageq": "flatcar_prefix.wrappers.tools.portageq",
    "bwrap": "flatcar_prefix.wrappers.tools.bwrap",
    "dispatch-conf": "flatcar_prefix.wrappers.tools.dispatch_conf",
    "portage-program": "flatcar_prefix.wrappers.tools.portage_program",
    "portage-tool": "flatcar_prefix.wrappers.tools.portage_tool",
    "fetch": "flatcar_prefix.fetch",
    "qa-check": "flatcar_prefix.audit.qa_check",
    "relocate": "flatcar_prefix.relocate.package",
    "prove-relocation": "flatcar_prefix.relocate.proof",
    "describe-build": "flatcar_prefix.binhost.describe",
}
"""The module of each name."""

FORMER_NAMES = {
    "flatcar_prefix": "flatcar-prefix",
    "flatcar_prefix.emerge": "emerge",
    "flatcar_prefix.equery": "equery",
    "flatcar_prefix.portageq": "portageq",
    "flatcar_prefix.wrappers.bwrap": "bwrap",
    "flatcar_prefix.wrappers.dispatch": "dispatch-conf",
    "flatcar_prefix.fetch": "fetch",
    "flatcar_prefix.verify.hook": "qa-check",
}
"""Names that version 0.1.0 wrote into wrappers, make.conf and the QA check."""


def module_of(name: str) -> str:
    """Return the module of ``name``; a name that is not in the table is a user's own module."""
    return MODULES.get(FORMER_NAMES.get(name, name), name)


def main() -> None:
    here = str(Path(__file__).resolve().parent)
    # Python puts the script's directory first, where our modules would shadow others.
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path.append(str(Path(here).parent))
    name = sys.argv.pop(1)
    try:
        runpy.run_module(module_of(name), run_name="__main__", alter_sys=True)
    except (Exception, KeyboardInterrupt) as error:
        # The module could not be imported, or it is equery, which has no handler of its own.
        sys.exit(_report(name, error))


def _report(name: str, error: BaseException) -> int:
    """Report an exception as :mod:`flatcar_prefix.system.entry` does; return the exit code."""
    from importlib import import_module

    def work() -> int:
        raise error

    # By name: this module is below all others.
    entry = import_module("flatcar_prefix.system.entry")
    return int(entry.run(work, program=name.rpartition(".")[2]))


if __name__ == "__main__":
    main()
