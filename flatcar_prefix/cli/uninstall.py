# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix uninstall``: remove a prefix."""

from __future__ import annotations

import argparse

from flatcar_prefix.cli.parser import prefix_arguments
from flatcar_prefix.lifecycle import uninstall
from flatcar_prefix.system.messages import TerminalProgress

HELP = "remove a prefix"

add_arguments = prefix_arguments


def changes(_args: argparse.Namespace) -> bool:
    """Return True: the verb always writes to a prefix."""
    return True


def run(args: argparse.Namespace) -> int:
    """Remove the prefix, its wrappers and every trace."""
    with TerminalProgress() as say:
        uninstall.uninstall(args.name, board=args.board, say=say)
    return 0
