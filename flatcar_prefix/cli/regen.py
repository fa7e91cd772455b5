# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix regen``: warm Portage's cache of ebuild metadata."""

from __future__ import annotations

import argparse

from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle.configure import jobs
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.repositories import metadata_cache
from flatcar_prefix.system import messages
from flatcar_prefix.system.messages import TerminalProgress

HELP = "warm Portage's cache of ebuild metadata"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser, optional=True, help_text="default: all prefixes")
    parser.add_argument("--jobs", type=int, help="how many at once (default: this machine's cores)")


def changes(_args: argparse.Namespace) -> bool:
    """Return True: the verb always writes to the cache."""
    return True


def run(args: argparse.Namespace) -> int:
    """Source each ebuild whose metadata are not cached; 1 when one cannot be sourced."""
    with TerminalProgress() as say:
        known = _prefixes(args)
        outcome = metadata_cache.warm_all(known, jobs=args.jobs or jobs(), say=say)
    messages.info(f"the metadata of {outcome.ebuilds} ebuilds are cached")
    for cpv in outcome.failed:
        messages.warning(f"{cpv} cannot be sourced")
    return 1 if outcome.failed else 0


def _prefixes(args: argparse.Namespace) -> list[Prefix]:
    if args.name:
        return [named_prefix(args)]
    known = [p for p in registry.list_prefixes() if args.board in (None, p.board.name)]
    if not known:
        raise PrefixError("there is no prefix", hint="Create one: setup_prefix <name> <path>.")
    return known
