# SPDX-License-Identifier: BSD-3-Clause
"""Run dispatch-conf or archive-conf in a view.

Portage reads ``dispatch-conf.conf`` of the prefix only. If the prefix does not have this
file, use the machine's. The arguments are the name of the program and its own arguments.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flatcar_prefix.system import entry
from flatcar_prefix.wrappers import view

SETTINGS = "dispatch-conf.conf"


def main(argv: Sequence[str]) -> None:
    """Run Portage's program ``argv[0]`` with the other arguments."""
    import portage
    import portage.dispatch_conf as dispatch_conf

    original = dispatch_conf.KeyValuePairFileLoader

    def loader(path: str, *args: Any, **kwargs: Any) -> Any:
        if Path(path).name == SETTINGS and not Path(path).exists():
            path = os.fspath(view.settings_file(SETTINGS))
        return original(path, *args, **kwargs)

    dispatch_conf.KeyValuePairFileLoader = loader
    program = Path(portage.const.PORTAGE_BIN_PATH) / argv[0]
    sys.argv[:] = [os.fspath(program), *argv[1:]]
    runpy.run_path(os.fspath(program), run_name="__main__")


def _run() -> int:
    main(sys.argv[1:])
    return 0


if __name__ == "__main__":
    entry.in_utf8()
    sys.exit(entry.run(_run, program=sys.argv[1], portage_codes=True))
