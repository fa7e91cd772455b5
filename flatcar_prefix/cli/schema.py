# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix schema``: print the JSON Schema of a verb's ``--json``."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "print the JSON Schema of the output of --json"
SCHEMAS = Path(__file__).parent / "schemas"


def names() -> list[str]:
    """Return the names of the schemas: verbs, and two modes of ``wrappers``."""
    return sorted(path.stem for path in SCHEMAS.glob("*.json"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the output."""
    parser.add_argument("output", metavar="OUTPUT", choices=names(), help=", ".join(names()))


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    print((SCHEMAS / f"{args.output}.json").read_text(encoding="utf-8"), end="")
    return 0
