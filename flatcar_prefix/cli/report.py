# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix report``: one page about a prefix, its packages and its builds."""

from __future__ import annotations

import argparse
from pathlib import Path

from flatcar_prefix.cli.parser import json_argument, named_prefix, prefix_arguments
from flatcar_prefix.errors import of_system
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.report.data import Data, collect
from flatcar_prefix.report.page import page
from flatcar_prefix.system import messages
from flatcar_prefix.system.files import write_atomic
from flatcar_prefix.system.json_output import to_json

HELP = "write a page about a prefix: sizes, dependencies, licences, findings, builds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    json_argument(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: <name>.html here"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page; return the exit code."""
    prefix = named_prefix(args)
    output = args.output or Path(f"{prefix.name}.html")
    data = collect(prefix)
    try:
        write_atomic(output, page(data))
    except OSError as error:
        raise of_system(error, doing=f"{output} cannot be written") from error
    if args.json:
        print(to_json(_result(prefix, output, data)), end="")
    else:
        messages.info(f"wrote {output}")
    return 0


def _result(prefix: Prefix, output: Path, data: Data) -> dict[str, object]:
    return {
        "prefix": prefix.id,
        "page": output.absolute(),
        "packages": len(data.packages),
        "findings": len(data.findings),
        "image_size": data.size,
    }
