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


def _run() -> int:
    import signal

    signal.signal(signal.SIGINT, _interrupted)
    signal.signal(signal.SIGTERM, _interrupted)
    # As any filter: when the reader goes away, so does the query, without a message.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    from flatcar_prefix.equery import main
    from flatcar_prefix.equery.skip_imports import leave_out

    leave_out()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    return main(sys.argv[1:])


if __name__ == "__main__":
    # A query lives for a tenth of a second, most of it imports: collecting garbage while it
    # does and taking the modules down one by one at the end would be a fifth of that.
    gc.disable()
    gc.freeze()
    code = _run()
    gc.enable()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
