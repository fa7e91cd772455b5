# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix list``: the prefixes of this machine."""

from __future__ import annotations

import argparse
from typing import Any

from flatcar_prefix.cli.parser import json_argument
from flatcar_prefix.cli.show import state, summary
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.registry import Broken
from flatcar_prefix.system import messages
from flatcar_prefix.system.json_output import to_json

HELP = "list the prefixes of this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print one line per prefix, or JSON; prefixes that cannot be used come last."""
    known = registry.survey()
    if args.json:
        entries = [summary(p) for p in known.prefixes] + [_summary(b) for b in known.broken]
        print(to_json(entries), end="")
        return 0
    if not known.prefixes and not known.broken:
        messages.info("there is no prefix on this machine; setup_prefix creates one")
    for prefix in known.prefixes:
        pool = ", a pool" if prefix.pool else ""
        print(f"{prefix.id:30} {prefix.eprefix:30} {prefix.bootstrap:7} {state(prefix)}{pool}")
    for broken in known.broken:
        print(f"{broken.id:30} {broken.directory!s:30} {'?':7} broken: {broken.reason}")
    return 0


def _summary(broken: Broken) -> dict[str, Any]:
    return {
        "name": broken.name,
        "board": broken.board.name,
        "id": broken.id,
        "state": "broken",
        "reason": broken.reason,
        "hint": broken.hint,
        "staging": {"directory": str(broken.directory)},
    }
