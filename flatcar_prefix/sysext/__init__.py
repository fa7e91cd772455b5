# SPDX-License-Identifier: BSD-3-Clause
"""System extension images: a prefix as one file that any system can merge."""

from __future__ import annotations

from flatcar_prefix.sysext.build import Options, sysext
from flatcar_prefix.sysext.cli import add_arguments, run_cli

__all__ = ["Options", "add_arguments", "run_cli", "sysext"]
