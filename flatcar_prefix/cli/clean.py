# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix clean``: remove logs, build directories and old binary packages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.errors import UsageError
from flatcar_prefix.lifecycle import disk
from flatcar_prefix.lifecycle.disk import Item
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.system.trees import spelled_size

HELP = "remove logs, build directories and old binary packages of a prefix"
_WHAT = {
    "logs": "logs of builds and stages",
    "builds": "build directories of failed or killed builds",
    "packages": "binary packages that are not installed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    for kind in disk.KINDS:
        parser.add_argument(f"--{kind}", action="store_true", help=f"only {_WHAT[kind]}")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--pretend", action="store_true", help="only print what would be removed")
    parser.add_argument("--json", action="store_true", help="as JSON; needs --yes or --pretend")


def changes(args: argparse.Namespace) -> bool:
    """Return whether files are removed."""
    return not args.pretend


def run(args: argparse.Namespace) -> int:
    """Print what is removed and how much, ask, and remove it."""
    if args.json and not (args.yes or args.pretend):
        raise UsageError("--json cannot ask", hint="Add --yes or --pretend.")
    prefix = named_prefix(args)
    kinds = [kind for kind in disk.KINDS if getattr(args, kind)] or list(disk.KINDS)
    items = disk.removable(prefix, kinds)
    if not args.json:
        _tell(items)
    removes = not args.pretend and bool(items) and (args.yes or _agreed())
    if removes:
        items = disk.clean(prefix, kinds)
    if args.json:
        print(to_json(_result(prefix, items, removed=removes)), end="")
    elif removes:
        messages.info(f"removed {spelled_size(sum(item.bytes for item in items))}")
    return 0


def _tell(items: Sequence[Item]) -> None:
    if not items:
        messages.info("there is nothing to remove")
    for kind in disk.KINDS:
        if sizes := [item.bytes for item in items if item.kind == kind]:
            print(f"{spelled_size(sum(sizes)):>10}  {len(sizes)} {_WHAT[kind]}")


def _agreed() -> bool:
    """Ask the user; raise :class:`UsageError` if nobody can answer."""
    if not sys.stdin.isatty():
        raise UsageError("nobody can answer whether to remove this", hint="Add --yes to remove it.")
    return input("Remove this? [y/N] ").strip().lower() in ("y", "yes")


def _result(prefix: Prefix, items: Sequence[Item], *, removed: bool) -> dict[str, object]:
    return {"prefix": prefix.id, "removed": removed, "items": [asdict(item) for item in items]}
