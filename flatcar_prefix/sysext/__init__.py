# SPDX-License-Identifier: BSD-3-Clause
"""System extension images: a prefix as one file that any system can merge."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from flatcar_prefix.prefix import Prefix
from flatcar_prefix.sysext.build import Options, sysext
from flatcar_prefix.sysext.cli import add_arguments, run_cli

__all__ = ["Options", "add_arguments", "run_cli", "sysext"]


class _Package(ModuleType):
    """``flatcar_prefix.sysext`` is this package once it is imported, and a function by contract."""

    def __call__(self, prefix: Prefix, output: Path | str | None = None, **options: Any) -> Path:
        return sysext(prefix, output, **options)


sys.modules[__name__].__class__ = _Package
