# SPDX-License-Identifier: BSD-3-Clause
"""``python -m flatcar_prefix.equery``."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn


def _interrupted(*_: object) -> NoReturn:
    os.write(1, b"\n")
    os._exit(1)


def _leave(code: int) -> NoReturn:
    """Exit without the teardown of the modules, but remove Portage's temporary directory."""
    if process := sys.modules.get("portage.process"):
        process.run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run() -> int:
    import signal

    signal.signal(signal.SIGINT, _interrupted)
    signal.signal(signal.SIGTERM, _interrupted)
    # Exit without a message if the reader closes the pipe, as other filters do.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    from flatcar_prefix.equery import main
    from flatcar_prefix.equery.skip_imports import leave_out

    leave_out()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    return main(sys.argv[1:])


if __name__ == "__main__":
    # A query takes a tenth of a second, mainly for imports. Garbage collection and the
    # teardown of the modules would take a fifth of this time.
    gc.disable()
    gc.freeze()
    code = _run()
    gc.enable()
    _leave(code)
