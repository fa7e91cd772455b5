# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix binhost``: list, add or remove places with binary packages."""

from __future__ import annotations

import argparse

from flatcar_prefix.cli.parser import PREFIX_HELP, comma_separated, json_argument, named_prefix
from flatcar_prefix.errors import UsageError
from flatcar_prefix.lifecycle import binhosts
from flatcar_prefix.prefix.model import Binhost
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.system.progress import TerminalProgress

HELP = "list, add or remove places with binary packages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", metavar="<name>", help=PREFIX_HELP)
    parser.add_argument("action", choices=("list", "add", "remove"), nargs="?", default="list")
    parser.add_argument(
        "where", nargs="*", help="URLs, directories or pools; names also work with remove"
    )
    parser.add_argument(
        "--binhost-key",
        type=comma_separated,
        default=[],
        metavar="FILE,...",
        help="public keys that sign the packages; none: do not verify them",
    )
    parser.add_argument("--board", help="board of the prefix")
    json_argument(parser)


def changes(args: argparse.Namespace) -> bool:
    """Return whether binhosts are added or removed."""
    return bool(args.action != "list")


def run(args: argparse.Namespace) -> int:
    """Add or remove binhosts if requested, then print all of them."""
    prefix = named_prefix(args)
    if changes(args):
        words = [word for text in args.where for word in comma_separated(text)]
        if not words:
            raise UsageError(f"nothing to {args.action}", hint="Give one or more binhosts.")
        with TerminalProgress(quiet=args.json) as say:
            if args.action == "add":
                prefix = binhosts.add(prefix, words, keys=args.binhost_key, say=say)
            else:
                prefix = binhosts.remove(prefix, words, say=say)
    if args.json:
        verified = prefix.verify_binhosts
        print(to_json([_result(one, verified=verified) for one in prefix.binhosts]), end="")
        return 0
    for one in prefix.binhosts:
        how = f"verified {' '.join(one.keys)}".strip() if prefix.verify_binhosts else "not verified"
        print(f"{one.name} {one.uri} {how}")
    return 0


def _result(one: Binhost, *, verified: bool) -> dict[str, object]:
    return {
        "name": one.name,
        "uri": one.uri,
        "pool": one.pool or None,
        "verified": verified,
        "keys": list(one.keys),
    }
