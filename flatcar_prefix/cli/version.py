# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix version``: print the version of this program."""

from __future__ import annotations

import argparse

from flatcar_prefix.version import __version__

HELP = "print the version of this program"


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: the verb has no arguments."""


def run(_args: argparse.Namespace) -> int:
    """Print one line."""
    print(f"flatcar-prefix {__version__}")
    return 0
