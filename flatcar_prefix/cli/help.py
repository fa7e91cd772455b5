# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix help``: print the help of the program or of one verb."""

from __future__ import annotations

import argparse

HELP = "print the help of the program, or of one verb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb to explain."""
    parser.add_argument("topic", metavar="VERB", nargs="?", help="the verb")


def run(args: argparse.Namespace) -> int:
    """Print the same text as ``--help``."""
    from flatcar_prefix.cli.main import flatcar_prefix_parser

    words = [args.topic] if args.topic else []
    flatcar_prefix_parser(args.topic).parse_args([*words, "--help"])
    return 0
