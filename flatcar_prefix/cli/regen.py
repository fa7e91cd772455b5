# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix regen``: warm Portage's cache of ebuild metadata."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from flatcar_prefix.cli.parser import (
    json_argument,
    named_prefix,
    prefix_arguments,
    progress_of,
    volume_arguments,
)
from flatcar_prefix.lifecycle.regen import regen
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.json_output import to_json

HELP = "warm Portage's cache of ebuild metadata"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser, optional=True, help_text="default: all prefixes")
    volume_arguments(parser)
    json_argument(parser)
    parser.add_argument(
        "--jobs", type=int, help="number of parallel jobs (default: this machine's cores)"
    )


def changes(_args: argparse.Namespace) -> bool:
    """Return True: the verb always writes to the cache."""
    return True


def run(args: argparse.Namespace) -> int:
    """Source each ebuild whose metadata are not cached; return 1 if one cannot be sourced."""
    with progress_of(args) as say:
        outcome = regen(*_prefixes(args), jobs=args.jobs, say=say)
    if args.json:
        print(to_json(asdict(outcome)), end="")
    elif not args.quiet:
        messages.info(f"the metadata of {outcome.ebuilds} ebuilds are cached")
    for cpv in outcome.failed:
        messages.warning(f"{cpv} cannot be sourced")
    return 1 if outcome.failed else 0


def _prefixes(args: argparse.Namespace) -> list[Prefix]:
    if args.name:
        return [named_prefix(args)]
    return [p for p in registry.list_prefixes() if args.board in (None, p.board.name)]
