# SPDX-License-Identifier: BSD-3-Clause
"""dispatch-conf and archive-conf in a view, by this machine's settings or the prefix's own.

Portage looks for ``dispatch-conf.conf`` in the prefix only. Called with the name of the
program and its arguments.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flatcar_prefix.wrappers import view

SETTINGS = "dispatch-conf.conf"


def main(argv: Sequence[str]) -> None:
    """Run Portage's program ``argv[0]`` with what follows."""
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


if __name__ == "__main__":
    main(sys.argv[1:])
