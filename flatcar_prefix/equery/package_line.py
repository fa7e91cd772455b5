# SPDX-License-Identifier: BSD-3-Clause
"""The output line of a package: its locations, its mask, its name and its slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.query import Where, repository
from flatcar_prefix.equery.session import Session

_VERBOSE = "[$location] [$mask] $cpv:$slot"
_PLAIN = "$cpv"
_MASKS = ("  ", " ~", " -", "M ", "M~", "M-", "??")
HARD_MASKED = 3

WHERE_OPTIONS = (
    Option("exclude-installed", "I", "do not search installed packages"),
    Option("overlay-tree", "o", "search overlays too"),
    Option("portage-tree", "p", "search the main repository too"),
)
FORMAT_OPTION = Option("format", "F", "output format, made of (see man page):", "TMPL")
VARIABLES = (
    "location", "mask", "mask2", "cp", "cpv", "category", "name", "version", "revision",
    "fullversion", "slot", "repo", "keywords",
)  # fmt: skip
FORMAT_NOTES = (", ".join(f"${name}" for name in VARIABLES),)


class Description(Mapping[str, object]):
    """The template variables of a package; a value is computed only if the template uses it."""

    def __init__(self, package: Package, session: Session, *, painted: bool) -> None:
        self.package = package
        self._session = session
        self._painted = painted
        self._location: str | None = None

    def __getitem__(self, name: str) -> object:
        if name in ("cpv", "cp", "category", "name", "version", "revision", "fullversion"):
            return self._paint("green", getattr(self.package, name))
        if name not in VARIABLES:
            raise KeyError(name)
        make: Callable[[], object] = getattr(self, f"_{name}_text", self._repo_text)
        return make()

    def __iter__(self) -> Iterator[str]:
        return iter(VARIABLES)

    def __len__(self) -> int:
        return len(VARIABLES)

    def _paint(self, color: str, text: str) -> str:
        return self._session.screen.paint(color, text) if self._painted else text

    @property
    def installed(self) -> bool:
        return self.package.cpv in self._session.target.installed

    @property
    def location(self) -> str:
        """Three letters or dashes: I for installed, P for the main repository, O for an overlay."""
        if self._location is None:
            target = self._session.target
            ebuild, tree = target.origin(self.package.cpv)
            in_main = ebuild is not None and tree in (None, target.main_location)
            self._location = "".join(
                letter if applies else "-"
                for letter, applies in (
                    ("I", self.installed),
                    ("P", in_main),
                    ("O", ebuild is not None and not in_main),
                )
            )
        return self._location

    def _location_text(self) -> str:
        return self.location

    def _mask_text(self) -> str:
        shown = _MASKS[mask_level(self.package.cpv, self._session)[0]]
        hard = bool({"M", "?", "-"} & set(shown))
        return self._session.screen.keyword(shown, stable=not shown.strip(), masked=hard)

    def _mask2_text(self) -> str:
        return mask_words(self.package.cpv, self._session)

    def _slot_text(self) -> str:
        return self._paint("bold", self._recorded("SLOT"))

    def _keywords_text(self) -> str:
        return self._paint("green", self._recorded("KEYWORDS"))

    def _repo_text(self) -> str:
        return repository(self.package.cpv, self._session.target)

    def _recorded(self, key: str) -> str:
        return self._session.target.recorded(self.package.cpv, [key])[0]


def line(package: Package, session: Session, template: str | None) -> tuple[str, Description]:
    """Return the package's line and its template variables."""
    painted = session.screen.verbose
    description = Description(package, session, painted=painted)
    if not template:
        template = _VERBOSE if painted else _PLAIN
        if template is _PLAIN:
            return package.cpv, description
    from string import Template

    return Template(template).safe_substitute(description), description


def mask_status(cpv: str, session: Session) -> list[str] | None:
    """Return Portage's reasons for a mask (`getmaskingstatus`), None if no repository has it."""
    from portage.package.ebuild.getmaskingstatus import getmaskingstatus

    target = session.target
    try:
        return list(getmaskingstatus(cpv, settings=target.settings, portdb=target.portdb))
    except KeyError:
        return None


def mask_level(cpv: str, session: Session) -> tuple[int, list[str]]:
    """Return the mask as an index into the two-letter mask fields, and the reasons."""
    status = mask_status(cpv, session)
    if status is None:
        return len(_MASKS) - 1, []
    arch = session.target.settings["ARCH"]
    level = int(f"~{arch} keyword" in status) + 2 * int("missing keyword" in status)
    if {"profile", "package.mask"} & set(status):
        level += HARD_MASKED
    return level, status


def mask_words(cpv: str, session: Session) -> str:
    """Return the mask in words; for an unmasked package, the keyword that accepts it."""
    status = mask_status(cpv, session)
    if not status:
        settings = session.target.settings
        keywords = session.target.recorded(cpv, ["KEYWORDS"])[0]
        status = [accepted_keyword(settings["ARCH"], settings["ACCEPT_KEYWORDS"], keywords)]
    return _paint_mask(status, session)


def accepted_keyword(arch: str, accepted: str, keywords: str) -> str:
    """Return the keyword that accepts a package: stable, testing, or the only other match."""
    own = keywords.split()
    if not own:
        return ""
    for keyword in (arch, f"~{arch}"):
        if keyword in own:
            return keyword
    others = set(accepted.split()) & set(own)
    return others.pop() if len(others) == 1 else "unknown"


def _paint_mask(status: list[str], session: Session) -> str:
    screen = session.screen
    if {"package.mask", "profile"} & set(status):
        return screen.paint("red", f"M[{status[0]}]")
    arches = _arches(session.target.settings)
    for reason in status:
        if "keyword" in reason:
            return screen.paint("blue", f"[{reason}]")
        if reason in arches:
            return screen.paint("green", reason)
        if "unknown" in reason:
            return screen.paint("yellow", reason)
    return screen.paint("red", status[-1])


def _arches(settings: Any) -> set[str]:
    """Return the stable and testing keywords of all known architectures."""
    return set(settings.archlist())


def where_to_look(given: Given) -> Where:
    return Where(
        installed="exclude-installed" not in given,
        tree="portage-tree" in given,
        overlay="overlay-tree" in given,
    )


def flags(text: str) -> set[str]:
    """Return the flags without the signs of their defaults."""
    return {word.lstrip("+-") for word in text.split()}


def print_those(
    packages: list[Package], where: Where, template: str | None, session: Session
) -> bool:
    """Print the packages in the searched locations; return whether there was one."""
    found = False
    for package in packages:
        text, description = line(package, session, template)
        if _hidden(where, description):
            continue
        session.screen.out(text)
        found = True
    return found


def _hidden(where: Where, description: Description) -> bool:
    if where.tree == where.overlay:
        return not where.tree and where.installed and not description.installed
    return ("P" if where.tree else "O") not in description.location
