# SPDX-License-Identifier: BSD-3-Clause
"""Runs a module of this program by file name: ``python -I launch.py <module> [argument ...]``.

Generated scripts call this rather than ``python -m``, which would look for modules in the
caller's current directory first.
"""

import runpy
import sys
from pathlib import Path


def main() -> None:
    here = str(Path(__file__).resolve().parent)
    # The script's directory, which Python puts first, would shadow modules of others.
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path.append(str(Path(here).parent))
    module = sys.argv[1]
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
