# SPDX-License-Identifier: BSD-3-Clause
"""Portage's programs that execute ebuilds, with the confinement of emerge.

Called with the name of the program, the staging directory and the program's arguments.
"""

from __future__ import annotations

import os
import runpy
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.portage_api import index_keys
from flatcar_prefix.prefix import record
from flatcar_prefix.sandbox.confinement import confined
from flatcar_prefix.system import entry


def main(argv: Sequence[str]) -> int:
    """Run Portage's program ``argv[0]`` for the prefix in ``argv[1]``; return its exit code."""
    # The program would execute itself again in another encoding, without the confinement.
    entry.in_utf8()
    return entry.run(lambda: _run(*argv), program=argv[0], logs=Path(argv[1], "logs"))


def _run(name: str, staging_dir: str, *arguments: str) -> int:
    import portage

    # After an error, Portage leaves coroutines behind; the error itself is reported.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    program = Path(portage.const.PORTAGE_BIN_PATH) / name
    index_keys.install()
    sys.argv[:] = [os.fspath(program), *arguments]
    with confined(record.read(Path(staging_dir))):
        runpy.run_path(os.fspath(program), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
