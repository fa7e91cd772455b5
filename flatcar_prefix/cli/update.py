# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix update``: bring a prefix up to date."""

from __future__ import annotations

import argparse

from flatcar_prefix.cli.parser import (
    json_argument,
    named_prefix,
    prefix_arguments,
    progress_of,
    volume_arguments,
)
from flatcar_prefix.cli.setup import stage_arguments, tell_state
from flatcar_prefix.lifecycle.update import update

HELP = "bring a prefix up to date, stage after stage"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    volume_arguments(parser, builds=True)
    json_argument(parser)
    stage_arguments(parser)


def changes(_args: argparse.Namespace) -> bool:
    """Return True: the verb always writes to a prefix."""
    return True


def run(args: argparse.Namespace) -> int:
    """Update the configuration, then run the stages again."""
    prefix = named_prefix(args)
    with progress_of(args) as say:
        prefix = update(prefix, first=args.first_stage, until=args.last_stage, say=say)
    return tell_state(prefix, args)
