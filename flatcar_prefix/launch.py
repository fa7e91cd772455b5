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
    "fetch": "flatcar_prefix.fetch",
    "qa-check": "flatcar_prefix.audit.qa_check",
}
"""The module that answers to each name."""

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
    """Return the module that ``name`` stands for; a user's own module is its own name."""
    return MODULES.get(FORMER_NAMES.get(name, name), name)


def main() -> None:
    here = str(Path(__file__).resolve().parent)
    # Python puts the script's directory first, where our modules would shadow others.
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path.append(str(Path(here).parent))
    module = module_of(sys.argv[1])
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
