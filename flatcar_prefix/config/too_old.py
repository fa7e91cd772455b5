# SPDX-License-Identifier: BSD-3-Clause
"""Programs of this machine that are older than a checkout needs: build systems and bash."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.config import machine_packages
from flatcar_prefix.portage_api import eapis
from flatcar_prefix.prefix.repository import Repository

ECLASSES = {"cmake": "cmake", "meson": "meson", "ninja": "ninja-utils"}
"""The eclass that depends on each build system."""


@dataclass(frozen=True)
class TooOld:
    """A program that is too old."""

    program: str
    found: str
    needed: str
    eclass: str

    def __str__(self) -> str:
        return (
            f"{self.program} {self.found} is older than the {self.needed} that {self.eclass} needs"
        )

    @property
    def hint(self) -> str:
        """The user's next step."""
        return (
            f"Install a newer one into this program's environment: pip install {self.program}."
            " Otherwise Portage builds it for the build host."
        )


def find(repositories: Sequence[Repository]) -> list[TooOld]:
    """Return the installed programs that are too old; read the eclasses as text."""
    from portage.versions import vercmp

    needed = dict(_needed(repositories))
    paths = {name: path for name in needed if (path := machine_packages.find_program(name))}
    versions = machine_packages.versions(paths.values())
    return [
        TooOld(name, versions[path], needed[name], f"{ECLASSES[name]}.eclass")
        for name, path in paths.items()
        if (vercmp(versions[path], needed[name]) or 0) < 0
    ]


def _needed(repositories: Sequence[Repository]) -> Iterator[tuple[str, str]]:
    for name, eclass in ECLASSES.items():
        for repository in repositories:
            path = repository.location / "eclass" / f"{eclass}.eclass"
            if not path.is_file():
                continue
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            atoms = (
                found[1]
                for line in lines
                # A question about the version is not a dependency.
                if "has_version" not in line and not line.lstrip().startswith("#")
                and (found := re.search(rf">=dev-build/{name}-(\d[\d.]*\d|\d)", line))
            )  # fmt: skip
            if version := next(atoms, None):
                yield name, version


@dataclass(frozen=True)
class Unreadable:
    """Ebuilds of an EAPI that needs a newer bash."""

    eapi: str
    ebuilds: int

    def __str__(self) -> str:
        found, needed = eapis.bash_version(), eapis.NEEDED_BASH[self.eapi]
        which = "1 ebuild is" if self.ebuilds == 1 else f"{self.ebuilds} ebuilds are"
        return (
            f"{which} left out: EAPI {self.eapi} needs bash {_dotted(needed)},"
            f" this machine has {_dotted(found)}"
        )

    @property
    def hint(self) -> str:
        """The user's next step."""
        needed = _dotted(eapis.NEEDED_BASH[self.eapi])
        place = os.path.join(os.path.dirname(sys.executable), "bash")
        return f"Build bash {needed} from source and install it as {place}, or use the SDK."


def unreadable(repositories: Sequence[Repository]) -> list[Unreadable]:
    """Return how many ebuilds this machine cannot read, for each EAPI."""
    numbers = Counter(
        eapi
        for repository in repositories
        for path in repository.location.glob("*/*/*.ebuild")
        if not eapis.is_readable(eapi := _eapi(path))
    )
    return [Unreadable(eapi, count) for eapi, count in sorted(numbers.items())]


def all_of(repositories: Sequence[Repository]) -> list[TooOld | Unreadable]:
    """Return :func:`find` and :func:`unreadable`."""
    return [*find(repositories), *unreadable(repositories)]


def _eapi(path: Path) -> str:
    """Return the EAPI of an ebuild, see PMS, "Mandatory ebuild-defined variables"."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.strip() and not line.lstrip().startswith("#"):
                    found = re.match(r"""\s*EAPI=['"]?([A-Za-z0-9+_.-]*)""", line)
                    return found[1] if found else "0"
    except OSError:
        pass
    return "0"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
