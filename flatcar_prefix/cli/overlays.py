# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix overlays``: list, add or remove further overlays."""

from __future__ import annotations

import argparse

from flatcar_prefix.cli.parser import PREFIX_HELP, named_prefix
from flatcar_prefix.errors import UsageError
from flatcar_prefix.lifecycle import overlays
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.system.progress import TerminalProgress

HELP = "list, add or remove further overlays"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", metavar="<name>", help=PREFIX_HELP)
    parser.add_argument("action", choices=("list", "add", "remove"), nargs="?", default="list")
    parser.add_argument("overlay", nargs="*", help="directories; names also work with remove")
    parser.add_argument("--board", help="board of the prefix")
    parser.add_argument("--json", action="store_true", help="print the overlays as JSON")


def changes(args: argparse.Namespace) -> bool:
    """Return whether overlays are added or removed."""
    return bool(args.action != "list")


def run(args: argparse.Namespace) -> int:
    """Add or remove overlays if requested, then print all of them."""
    prefix = named_prefix(args)
    if changes(args):
        if not args.overlay:
            raise UsageError(f"nothing to {args.action}", hint="Give one or more overlays.")
        change = overlays.add if args.action == "add" else overlays.remove
        with TerminalProgress(quiet=args.json) as say:
            prefix = change(prefix, args.overlay, say=say)
    found = overlays.custom(prefix)
    if args.json:
        keys = ("name", "location", "priority")
        print(to_json([{key: getattr(one, key) for key in keys} for one in found]), end="")
        return 0
    for overlay in found:
        print(f"{overlay.name} {overlay.location} {overlay.priority}")
    return 0
