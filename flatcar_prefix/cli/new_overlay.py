# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix new-overlay``: make an empty ebuild repository."""

from __future__ import annotations

import argparse
from pathlib import Path

from flatcar_prefix.recipe import new
from flatcar_prefix.system import messages

HELP = "make an empty ebuild repository for your own packages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="its directory, which must not exist"
    )
    parser.add_argument("--name", help="name of the repository (default: that of the directory)")
    parser.add_argument(
        "--masters",
        default="gentoo-subset",
        help="repositories whose eclasses it uses (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Create the repository and print how to use it."""
    directory = args.directory.absolute()
    new.overlay(directory, name=args.name, masters=args.masters.replace(",", " ").split())
    messages.info(f"made the repository {directory}")
    messages.info(f"add a package:  flatcar-prefix new-ebuild {directory} app-misc/hello-1.0")
    messages.info(f"use it:         flatcar-prefix overlays <prefix> add {directory}")
    return 0
