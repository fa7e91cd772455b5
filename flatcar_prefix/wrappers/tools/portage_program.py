# SPDX-License-Identifier: BSD-3-Clause
"""Run a program of Portage in a view, and report its errors as the other commands do.

Portage's ``emaint`` ends in a traceback if the caller cannot read a file. The arguments are the
name of the program and its own arguments.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.system import entry


def main(argv: Sequence[str]) -> int:
    """Run Portage's program ``argv[0]`` with the other arguments; return its exit code."""
    entry.in_utf8()
    return entry.run(lambda: _run(*argv), program=argv[0])


def _run(name: str, *arguments: str) -> int:
    import portage

    program = Path(portage.const.PORTAGE_BIN_PATH) / name
    sys.argv[:] = [os.fspath(program), *arguments]
    runpy.run_path(os.fspath(program), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
