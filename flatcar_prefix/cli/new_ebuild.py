# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix new-ebuild``: write a first ebuild, with its Manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from flatcar_prefix.recipe import new
from flatcar_prefix.recipe.schema import BUILD_SYSTEMS
from flatcar_prefix.system import messages

HELP = "write a first ebuild into a repository, with its Manifest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("directory", metavar="DIR", type=Path, help="the repository, see new-overlay")
    add("package", metavar="CATEGORY/NAME-VERSION", help="such as app-misc/hello-1.0")
    add("--uri", default="", help="of the source; it is fetched for the Manifest")
    add("--build", choices=BUILD_SYSTEMS, help="build system (default: that of the source)")
    add("--license", default="", help="Gentoo's name or SPDX's")
    add("--description", default="", help="one line")


def run(args: argparse.Namespace) -> int:
    """Write the ebuild and print the next step."""
    file = new.ebuild(
        args.directory.absolute(),
        args.package,
        uri=args.uri,
        build=args.build or "",
        licence=args.license,
        description=args.description,
    )
    messages.info(f"wrote {file}")
    if (file.parent / "Manifest").exists():
        messages.info(f"wrote {file.parent / 'Manifest'}")
    messages.info(
        f"after a change of SRC_URI, update the Manifest: ebuild-prefix-<prefix> {file} manifest"
    )
    return 0
