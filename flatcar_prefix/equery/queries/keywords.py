# SPDX-License-Identifier: BSD-3-Clause
"""Show the keywords of a package's versions as a table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, NoReturn

from flatcar_prefix.equery.arches import Arches, load_arches
from flatcar_prefix.equery.errors import QueryError
from flatcar_prefix.equery.output import Screen
from flatcar_prefix.equery.session import Session

_FIELDS = ("eapi", "unused", "slot")
_EXTRA = "repo"

# One visible character with its colour. A column or a line of the table is a list of cells.
_Cell = str


class _Version(NamedTuple):
    cpv: str
    tree: str
    repo: str
    slot: str
    eapi: str
    keywords: list[str]
    masked: bool
    installed: bool

    @property
    def revision(self) -> str:
        from portage.versions import catpkgsplit

        revision = catpkgsplit(self.cpv)[3]
        return "" if revision == "r0" else str(revision)


class _Left(Exception):
    """The parser ends the query; the argument is the exit code."""


class _Parser(argparse.ArgumentParser):
    """An argparse parser that writes to the query's streams and never exits the process."""

    screen: Screen

    def _print_message(self, message: str, file: Any = None) -> None:
        import sys

        if file is sys.stderr:
            self.screen.err(message)
        else:
            self.screen.out(message, end="")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            self.screen.err(message)
        raise _Left(status)


def _parser(screen: Screen) -> _Parser:
    from flatcar_prefix.version import __version__

    parser = _Parser(
        prog="equery keywords",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.screen = screen
    add = parser.add_argument
    add("-v", "--version", action="version", version=__version__)
    add("package", nargs="*", help="packages to show")
    add("-a", "--arch", nargs=1, default=[], help="only these architectures, separated by commas")
    add("-A", "--align", nargs="?", default="bottom", choices=["top", "bottom"],
        help="alignment of short names")  # fmt: skip
    add("-T", "--top-position", nargs="?", default="archlist",
        choices=["archlist", "versionlist"], help="list at the top of the table")  # fmt: skip
    add("-B", "--bold", action="store_true", help="print every other column in bold")
    add("-C", "--color", action="store_true", help="use colors also without a terminal")
    add("-O", "--overlays", action="store_true", help="search overlays, too")
    add("-P", "--prefix", action="store_true", help="show the keywords of prefixes, too")
    add("-S", "--ignore-slot", action="store_true", help="compare versions across slots")
    return parser


def main(args: list[str], session: Session) -> int:
    screen = session.screen
    try:
        opts = _parser(screen).parse_args(args)
    except _Left as left:
        return int(left.args[0])
    if not opts.package:
        screen.err("No packages specified\n")
        return 1
    if not opts.color and not screen.terminal:
        screen.color = False
    # Use the repositories' keywords and masks, without the user's configuration.
    settings = session.target.load_settings(local=False)
    table = _Table(load_arches(settings, _only(opts.arch), prefix=opts.prefix), opts, screen)
    for package in opts.package:
        try:
            versions = _versions(package, settings, session, overlays=opts.overlays)
        except QueryError as error:
            screen.err(f"{error}\n")
            return 1
        table.print(versions, settings)
    return 0


def _only(arguments: list[str]) -> list[str]:
    return [arch for argument in arguments for arch in argument.split(",")]


def _versions(package: str, settings: Any, session: Session, *, overlays: bool) -> list[_Version]:
    from portage.dbapi.dep_expand import dep_expand
    from portage.dbapi.porttree import portdbapi
    from portage.exception import AmbiguousPackageName, InvalidAtom

    portdb = portdbapi(mysettings=settings)
    if not overlays:
        portdb.porttrees = [os.path.realpath(settings.repositories.mainRepoLocation())]
    try:
        atom = dep_expand(package, mydb=portdb, settings=settings)
    except AmbiguousPackageName as error:
        raise QueryError(f'Ambiguous package name "{package}".\nPossibilities: {error}') from error
    except InvalidAtom as error:
        raise QueryError(f'No such package "{package}"') from error
    if isinstance(atom, str) and not atom:
        raise QueryError(f'No such package "{package}"')
    cp = str(atom.cp)
    found = [
        _version(f"{cp.partition('/')[0]}/{pf}", tree, portdb, settings, session)
        for tree in portdb.porttrees
        for pf in _ebuilds(tree, cp)
    ]
    if not found:
        raise QueryError(f'No such package "{package}"')
    from portage.util import cmp_sort_key
    from portage.versions import cpv_getversion, vercmp

    key = cmp_sort_key(vercmp)
    return sorted(found, key=lambda version: key(cpv_getversion(version.cpv)))


def _ebuilds(tree: str, cp: str) -> Iterable[str]:
    """Yield the names of the package's ebuilds in one repository, without their suffix."""
    from portage.versions import pkgsplit

    try:
        names = os.listdir(os.path.join(tree, cp))
    except OSError:
        return
    for name in names:
        pf = name.removesuffix(".ebuild")
        split = pkgsplit(pf) if pf != name else None
        if split and split[0] == cp.partition("/")[2]:
            yield pf


def _version(cpv: str, tree: str, portdb: Any, settings: Any, session: Session) -> _Version:
    from portage.package.ebuild.getmaskingstatus import getmaskingstatus

    try:
        keywords, slot, eapi = portdb.aux_get(cpv, ["KEYWORDS", "SLOT", "EAPI"], tree)
    except KeyError as error:
        raise QueryError("Failed to obtain metadata") from error
    try:
        masked = "package.mask" in getmaskingstatus(cpv, settings=settings, portdb=portdb)
    except KeyError:
        masked = False
    repo = str(portdb.getRepositoryName(tree))
    target = session.target
    here = cpv in target.installed and target.origin_of_installed(cpv) == repo
    return _Version(cpv, tree, repo, slot, eapi, keywords.split(), masked, here)


class _Table:
    """A table of keywords and versions; `--top-position` selects which are the columns."""

    def __init__(self, arches: Arches, opts: argparse.Namespace, screen: Screen) -> None:
        self.arches = arches
        self.opts = opts
        self.screen = screen
        names = [*arches.shown, *_FIELDS, _EXTRA]
        self.height = max(map(len, names))

    def print(self, versions: list[_Version], settings: Any) -> None:
        screen = self.screen
        cp = versions[0].cpv.rpartition("/")[0] + "/" + _name(versions[0].cpv)
        screen.out(f"Keywords for {screen.paint('blue', cp)}:")
        lines = self._version_lines(versions, settings)
        slot_width = max(len(version.slot) for version in versions)
        names = self._version_names(versions)
        width = len(names[0])
        if self.opts.top_position == "versionlist":
            rows = self._by_keyword(lines, slot_width, width)
        else:
            rows = self._by_version(lines, slot_width, width)
        screen.out("\n".join(rows))

    def _by_version(self, lines: list[list[_Cell]], slot_width: int, width: int) -> list[str]:
        main = _turned(self._columns(), self.height, self._embolden, drop_blank=True)
        extra = _turned(self._extra_columns(), self.height, self._embolden)
        filler = " " * (slot_width - 1)
        header = [
            " " * width + left + filler + right for left, right in zip(main, extra, strict=False)
        ]
        return header + ["".join(line) for line in lines]

    def _by_keyword(self, lines: list[list[_Cell]], slot_width: int, width: int) -> list[str]:
        turned = _turned(lines, max(map(len, lines)), self._embolden, drop_blank=True)
        blank = " " * self.height
        names = [
            *("".join(column) for column in self._columns()),
            *[blank] * (slot_width - 1),
            *("".join(column) for column in self._extra_columns()),
        ]
        corner = [blank] * width + names
        return [left + right for left, right in zip_longest(corner, turned, fillvalue=blank)]

    def _columns(self) -> list[list[_Cell]]:
        rule = ["-"] * self.height
        shown = [self._arch_cells(arch) for arch in self.arches.shown]
        return [rule, *shown, rule, *(list(self._aligned(name)) for name in _FIELDS)]

    def _extra_columns(self) -> list[list[_Cell]]:
        return [["-"] * self.height, list(self._aligned(_EXTRA))]

    def _aligned(self, text: str, width: int | None = None) -> str:
        width = self.height if width is None else width
        return text.ljust(width) if self.opts.align == "top" else text.rjust(width)

    def _arch_cells(self, arch: str) -> list[_Cell]:
        text = self._aligned(arch)
        if arch in self.arches.stable:
            return self._cells("darkyellow", text)
        return self._cells("darkgray", text) if arch in self.arches.experimental else list(text)

    def _cells(self, color: str, text: str) -> list[_Cell]:
        return [self.screen.paint(color, char) for char in text]

    def _embolden(self, cell: _Cell, position: int) -> _Cell:
        if self.opts.bold and position % 2 == 0 and cell != " ":
            return self.screen.paint("bold", cell)
        return cell

    def _version_names(self, versions: list[_Version]) -> list[str]:
        """Return each version with its marks, aligned for versions without a revision."""
        room = max(len(version.revision) for version in versions)
        names = []
        for version in versions:
            missing = room - len(version.revision)
            pad = missing + 1 if missing and not version.revision else missing
            marks = "[M]" * version.masked + "[I]" * version.installed
            names.append(f"{marks}{_fullversion(version.cpv)}{' ' * pad}")
        width = max(map(len, names))
        return [self._aligned(name, width) for name in names]

    def _version_lines(self, versions: list[_Version], settings: Any) -> list[list[_Cell]]:
        slot_width = max(len(version.slot) for version in versions)
        repo_width = max(len(version.repo) for version in versions)
        names = self._version_names(versions)
        redundant = _redundant(versions, by_slot=not self.opts.ignore_slot)
        rule = "+".join(
            "-" * count
            for count in (
                len(names[0]) + 1,
                len(self.arches.shown) * 2 + 1,
                slot_width + 6,
                repo_width + 1,
            )
        )
        lines: list[list[_Cell]] = []
        slot = ""
        for version, name, unused in zip(versions, names, redundant, strict=True):
            shown_slot = self._cells("bold", version.slot.ljust(slot_width))
            if version.slot == slot:
                shown_slot = [" "] * slot_width
            else:
                lines.append(list(rule))
            slot = version.slot
            lines.append(
                [
                    *self._name_cells(name),
                    *" | ",
                    *self._keyword_cells(version.keywords),
                    *" | ",
                    *self._eapi_cells(version, settings),
                    " ",
                    self.screen.paint("purple" if unused else "darkgray", "#" if unused else "o"),
                    " ",
                    *shown_slot,
                    *" | ",
                    *self._cells("yellow", version.repo.ljust(repo_width)),
                ]
            )
        return lines

    def _name_cells(self, name: str) -> list[_Cell]:
        for mark, color in (("[M][I]", "darkyellow"), ("[M]", "darkred"), ("[I]", "bold")):
            if mark in name:
                return self._cells(color, name)
        return list(name)

    def _keyword_cells(self, keywords: list[str]) -> list[_Cell]:
        cells: list[_Cell] = []
        for position, arch in enumerate(self.arches.shown):
            cell = self._keyword_cell(arch, keywords)
            if self.opts.top_position != "versionlist":
                cell = self._embolden(cell, position)
            cells += (" ", cell) if cells else (cell,)
        return cells

    def _keyword_cell(self, arch: str, keywords: list[str]) -> _Cell:
        for keyword, color, char in (
            (f"~{arch}", "darkyellow", "~"),
            (f"-{arch}", "darkred", "-"),
            (arch, "darkgreen", "+"),
            ("-*", "darkred", "*"),
        ):
            if keyword in keywords:
                return self.screen.paint(color, char)
        return self.screen.paint("darkgray", "o")

    def _eapi_cells(self, version: _Version, settings: Any) -> list[_Cell]:
        repo = settings.repositories.prepos[version.repo]
        color = "green"
        if repo.eapi_is_banned(version.eapi):
            color = "red"
        elif repo.eapi_is_deprecated(version.eapi):
            color = "yellow"
        return self._cells(color, version.eapi)


def _turned(
    columns: Sequence[list[_Cell]], height: int, embolden: Any, *, drop_blank: bool = False
) -> list[str]:
    """Return the columns as rows of text; dashes and bars are rotated, too."""
    # In a column with bars, only the bars become dashes.
    turns = [{ord("|"): "-"} if "|" in column else {ord("-"): "|"} for column in columns]
    rules = 0
    rows = []
    for row in range(height):
        text = ""
        for position, column in enumerate(columns):
            cell = column[row] if row < len(column) else " "
            cell = cell.translate(turns[position])
            if column[0] == "-":
                rules += 1
                text += " " + cell
            else:
                text += " " + embolden(cell, position - rules)
        if "+ -" in text:
            text = text.replace(" ", "-")
        if not drop_blank or text.strip(" |-") or "-" in text:
            rows.append(text)
    return rows


def _redundant(versions: list[_Version], *, by_slot: bool) -> list[bool]:
    """Return for each version whether higher versions of its slot cover all its keywords."""
    result = []
    for position, version in enumerate(versions):
        higher = [
            other
            for other in reversed(versions[position + 1 :])
            if not by_slot or other.slot == version.slot
        ]
        result.append(_covered(_positive(version.keywords), higher))
    return result


def _covered(keywords: set[str], higher: list[_Version]) -> bool:
    for other in higher:
        theirs = _positive(other.keywords)
        if theirs and not other.masked:
            keywords = keywords - theirs - {f"~{keyword}" for keyword in theirs}
        if not keywords:
            return True
    return False


def _positive(keywords: list[str]) -> set[str]:
    return {keyword for keyword in keywords if keyword[0] != "-"}


def _name(cpv: str) -> str:
    from portage.versions import catpkgsplit

    return str(catpkgsplit(cpv)[1])


def _fullversion(cpv: str) -> str:
    from portage.versions import cpv_getversion

    return str(cpv_getversion(cpv))
