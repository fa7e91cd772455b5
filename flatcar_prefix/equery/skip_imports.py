# SPDX-License-Identifier: BSD-3-Clause
"""Replace modules that Portage imports and no query uses.

Their import takes an eighth of the time of most queries. Use this only in a process that runs
one query and exits, because the replacements stay for the life of the process.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _Absent(ModuleType):
    """A module in which each name exists and is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def leave_out() -> None:
    """Replace these modules, unless they are already loaded."""
    # Portage's repository configuration reads the module names in `portage.sync`. Its
    # controller, which only syncing needs, imports half of emerge.
    sys.modules.setdefault("portage.sync.controller", _Absent("portage.sync.controller"))
    # asyncio, the only user of ssl here, supports a Python without OpenSSL.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
