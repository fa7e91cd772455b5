# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix uninstall``: remove a prefix."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from flatcar_prefix.cli.parser import (
    json_argument,
    prefix_arguments,
    progress_of,
    volume_arguments,
)
from flatcar_prefix.lifecycle import uninstall
from flatcar_prefix.system.json_output import to_json

HELP = "remove a prefix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    volume_arguments(parser)
    json_argument(parser)


def changes(_args: argparse.Namespace) -> bool:
    """Return True: the verb always writes to a prefix."""
    return True


def run(args: argparse.Namespace) -> int:
    """Remove the prefix, its wrappers and every trace."""
    return remove(args, args.name, board=args.board)


def remove(
    args: argparse.Namespace,
    name: str,
    *,
    board: str | None,
    eprefix: str | None = None,
    staging_dir: str | None = None,
) -> int:
    """Remove a prefix, and print what was removed if ``args`` request it; return the exit code."""
    with progress_of(args) as say:
        gone = uninstall.uninstall(
            name, board=board, eprefix=eprefix, staging_dir=staging_dir, say=say
        )
    if args.json:
        print(to_json(asdict(gone)), end="")
    return 0
