# SPDX-License-Identifier: BSD-3-Clause
"""What Portage loads and no query uses: an eighth of the time that most queries take.

Only for a process that answers one query and ends: what is left out stays left out.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _Absent(ModuleType):
    """Has every name, and nothing behind it."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def leave_out() -> None:
    """Keeps from being loaded what has not been yet."""
    # Portage's repository configuration asks `portage.sync` for the names of its modules; the
    # controller beside them, which does the syncing, brings half of emerge.
    sys.modules.setdefault("portage.sync.controller", _Absent("portage.sync.controller"))
    # A Python without OpenSSL has no such module; asyncio, its only user here, expects that.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
