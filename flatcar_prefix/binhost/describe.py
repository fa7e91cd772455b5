# SPDX-License-Identifier: BSD-3-Clause
"""Print the description of a build; the bashrc of a prefix calls this in src_install.

It also compares the description of a binary package with this root, for pkg_setup.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.binhost import identity
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system import entry

SEPARATOR = "\x1f"
"""Divides the assignments in ``--flags``."""


def main(argv: Sequence[str]) -> int:
    """Print the description, or with ``--fits`` the differences; return the exit code."""
    args = _parser().parse_args(argv)
    variables = {**environ.variables(), **_assignments(args.flags)}
    if args.fits is not None:
        found = identity.differences(identity.parse(args.fits), identity.of_root(variables))
        verify = variables.get("FLATCAR_PREFIX_VERIFY") == "yes"
        if verify and args.file.is_file() and not _is_signed(args.file):
            found.append("it is not signed")
        print("; ".join(found))
        return 1 if found else 0
    package = identity.Package(
        category=args.category,
        name=args.name,
        version=args.version,
        revision=args.revision,
        slot=args.slot,
        ebuild=args.ebuild,
        distfiles=frozenset(args.distfiles.split()),
    )
    try:
        print(identity.text(identity.describe(variables, package)))
    except OSError as error:
        raise PrefixError(
            f"cannot read {error.filename}: {error.strerror}",
            hint="Correct the ebuild's directory.",
        ) from error
    return 0


def _is_signed(package: Path) -> bool:
    """Return whether a package has a signature, see GLEP 78. Portage verifies existing ones."""
    try:
        with tarfile.open(package) as parts:
            return any(name.endswith(".sig") for name in parts.getnames())
    except (OSError, tarfile.TarError):
        return False


def _assignments(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(SEPARATOR) if item)
    return {name: value for name, _, value in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="describe-build", description="Describe a build.")
    add = parser.add_argument
    add("--fits", metavar="DESCRIPTION", help="compare this description with the root's")
    add("--file", type=Path, default=Path(), help="the binary package")
    add("--flags", default="", help="NAME=VALUE, divided by the unit separator, 0x1f")
    add("--distfiles", default="", help="names divided by spaces")
    add("--ebuild", type=Path, default=Path("/nonexistent"))
    for name in ("category", "name", "version", "revision", "slot"):
        add(f"--{name}", default="")
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(lambda: main(sys.argv[1:]), program="describe-build"))
