# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix list``: the prefixes of this machine."""

from __future__ import annotations

import argparse
import json

from flatcar_prefix.cli.show import state, summary
from flatcar_prefix.prefix import registry
from flatcar_prefix.system import messages

HELP = "list the prefixes of this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Print one line a prefix, or JSON."""
    prefixes = registry.list_prefixes()
    if args.json:
        print(json.dumps([summary(p) for p in prefixes], indent=2))
        return 0
    if not prefixes:
        messages.info("there is no prefix on this machine; setup_prefix creates one")
    for prefix in prefixes:
        print(f"{prefix.id:30} {prefix.eprefix:30} {prefix.bootstrap:7} {state(prefix)}")
    return 0
