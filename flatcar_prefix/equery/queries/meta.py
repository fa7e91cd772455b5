# SPDX-License-Identifier: BSD-3-Clause
"""Show a repository's metadata of a package: maintainers, upstream, keywords, licence."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import cached_property

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.errors import NoMatches
from flatcar_prefix.equery.metadata_xml import Maintainer, Metadata, Upstream, load
from flatcar_prefix.equery.output import Screen
from flatcar_prefix.equery.query import Query, find_best, find_in_tree, parse_query, repository
from flatcar_prefix.equery.remote_ids import remote_url
from flatcar_prefix.equery.session import Session

OPTIONS = (
    Option("description", "d", "show the long description"),
    Option("keywords", "k", "show the keywords of all matching versions"),
    Option("license", "l", "show the licences of the best matching version"),
    Option("maintainer", "m", "show the maintainers"),
    Option("reverse", "r", "show the versions in reverse order"),
    Option("stablereq", "S", "show the teams to ask for stable keywords, by version"),
    Option("useflags", "u", "show the descriptions of the package's own USE flags"),
    Option("upstream", "U", "show the upstream project"),
    Option("xml", "x", "show the unchanged metadata.xml"),
    Option("herd", "H"),
)
_STABLE_TEAMS = ("alpha", "amd64", "arm", "hppa", "ia64", "m68k", "ppc", "ppc64", "s390", "sh",
                 "sparc", "x86")  # fmt: skip
_INDENT = " " * 13


class _Subject:
    """The queried package with its versions and its metadata.xml."""

    def __init__(self, best: Package, versions: list[Package], session: Session) -> None:
        self.best = best
        self.versions = versions
        self.session = session
        ebuild, _ = session.target.origin(best.cpv)
        self.directory = os.path.dirname(ebuild or "")

    @cached_property
    def metadata(self) -> Metadata:
        return load(self.xml_path, self.session.screen)

    @property
    def xml_path(self) -> str:
        return os.path.join(self.directory, "metadata.xml")

    def recorded(self, key: str) -> str:
        return self.session.target.recorded(self.best.cpv, [key])[0]


def run(given: Given, operands: list[str], session: Session) -> int:
    screen = session.screen
    first = True
    for operand in operands:
        query = parse_query(operand)
        subject = _subject(query, session, reverse="reverse" in given)
        if subject is None:
            screen.warn(str(NoMatches(query.text)))
            continue
        if not os.path.lexists(subject.xml_path):
            screen.warn(f"Package {subject.best} is missing metadata.xml\n")
            continue
        if not first:
            screen.out()
        first = False
        _print(subject, given)
    return 0


def _subject(query: Query, session: Session, *, reverse: bool) -> _Subject | None:
    best = find_best(query.text, session.target)
    if best is None:
        return None
    versions = find_in_tree(query, session.target, masked=True, installed=True)
    return _Subject(Package(best), versions[::-1] if reverse else versions, session)


def _print(subject: _Subject, given: Given) -> None:
    screen = subject.session.screen
    if screen.verbose:
        repo = repository(subject.best.cpv, subject.session.target)
        screen.out(f" * {screen.cpv(subject.best.cp)} [{screen.section(repo)}]")
    asked = [name for name in _PARTS if name in given]
    for name, (show, by_default) in _PARTS.items():
        if name in asked or (not asked and by_default):
            for line in show(subject, bool(asked)):
                screen.out(line)


def _maintainers(subject: _Subject, alone: bool) -> Iterable[str]:
    screen = subject.session.screen
    people = [_person(who, screen) for who in subject.metadata.maintainers]
    if alone:
        return _listed(people, screen)
    label = "Maintainer:  "
    if not people:
        return [_wrapped("", screen, label)]
    return [_wrapped(person, screen, label, _INDENT) for person in people]


def _person(who: Maintainer, screen: Screen) -> str:
    if not screen.verbose:
        return who.email
    return (
        who.email
        + (f" ({who.name})" if who.name else "")
        + (f" - {who.restrict}" if who.restrict else "")
        + (f" - {who.description}" if who.description else "")
    )


def _upstream(subject: _Subject, alone: bool) -> Iterable[str]:
    screen = subject.session.screen
    lines = [
        _wrapped(text, screen, label, _INDENT)
        for upstream in subject.metadata.upstreams
        for label, text in _upstream_facts(upstream, screen)
    ]
    first, rest = ("", "") if alone else ("Upstream:    ", _INDENT)
    yield from _listed(lines, screen, first, rest)
    for page in subject.recorded("HOMEPAGE").split():
        yield _wrapped(page, screen, "Homepage:    ", _INDENT)


def _upstream_facts(upstream: Upstream, screen: Screen) -> Iterable[tuple[str, str]]:
    for who in upstream.maintainers:
        yield "Maintainer:  ", _person(who, screen)
    for url in upstream.changelogs:
        yield "ChangeLog:   ", url
    for url, language in upstream.docs:
        yield "Docs:       ", f"{url} ({language})" if language else url
    for url in upstream.bugs_to:
        yield "Bugs-to:     ", url
    for name, site in upstream.remote_ids:
        yield "Remote-ID:   ", f"{remote_url(site, name)} ({site})"


def _location(subject: _Subject, alone: bool) -> Iterable[str]:
    return [_wrapped(subject.directory, subject.session.screen, "Location:    ", _INDENT)]


def _keywords(subject: _Subject, alone: bool) -> Iterable[str]:
    screen = subject.session.screen
    for package, slot, keywords in _telling_keywords(subject):
        head = f"{package.fullversion}:{screen.slot(slot)}: "
        width = len(package.fullversion) + len(slot)
        line = head + " ".join(_painted_keyword(word, screen) for word in keywords)
        if screen.verbose and keywords:
            line = _wrapped(line[len(head) :], screen, head, " " * (width + 2))
        yield line if alone else _wrapped(line, screen, "Keywords:    ", " " * (width + 16))


def _telling_keywords(subject: _Subject) -> list[tuple[Package, str, list[str]]]:
    """Return each version's keywords that no higher version in its slot has."""
    target = subject.session.target
    higher: dict[str, set[str]] = {}
    found = []
    for package in reversed(subject.versions):
        text, slot = target.recorded(package.cpv, ["KEYWORDS", "SLOT"], tree_first=True)
        keywords = text.split()
        known = higher.setdefault(slot, set())
        own = [keyword for keyword in keywords if keyword not in known]
        let_in = [keyword for keyword in keywords if keyword[0] != "-"]
        known.update(let_in, (f"~{keyword}" for keyword in let_in if keyword[0] != "~"))
        shown_slot = target.recorded(package.cpv, ["SLOT"])[0]
        found.append((package, shown_slot, _sorted_keywords(own)))
    return found[::-1]


def _sorted_keywords(keywords: list[str]) -> list[str]:
    """Return the keywords by architecture; those such as amd64-linux by system first."""
    return sorted(keywords, key=_KeywordOrder)


class _KeywordOrder:
    """The usual order: lower if the system or the architecture is lower. It is not total."""

    def __init__(self, keyword: str) -> None:
        self.arch, _, self.system = keyword.partition("-")

    def __lt__(self, other: _KeywordOrder) -> bool:
        return self.system < other.system or self.arch < other.arch


def _painted_keyword(keyword: str, screen: Screen) -> str:
    return screen.keyword(keyword, stable=keyword[0] not in "-~", masked=keyword[0] == "-")


def _description(subject: _Subject, alone: bool) -> Iterable[str]:
    texts = list(subject.metadata.descriptions) or [
        subject.session.target.recorded(subject.best.cpv, ["DESCRIPTION"], tree_first=True)[0]
    ]
    return _listed(texts, subject.session.screen)


def _useflags(subject: _Subject, alone: bool) -> Iterable[str]:
    screen = subject.session.screen
    texts = []
    for flag in subject.metadata.flags:
        texts += [screen.useflag(flag.name), flag.description, ""]
    return _listed(texts, screen)


def _license(subject: _Subject, alone: bool) -> Iterable[str]:
    first, rest = ("", "") if alone else ("License:     ", _INDENT)
    return _listed([subject.recorded("LICENSE")], subject.session.screen, first, rest)


def _stable_requests(subject: _Subject, alone: bool) -> Iterable[str]:
    target, screen = subject.session.target, subject.session.screen
    for package in subject.versions:
        text = target.recorded(package.cpv, ["KEYWORDS"], tree_first=True)[0]
        testing = {word.lstrip("~") for word in text.split() if "~" in word}
        teams = ",".join(f"{arch}@gentoo.org" for arch in sorted(testing & {*_STABLE_TEAMS}))
        slot = target.recorded(package.cpv, ["SLOT"])[0]
        yield f"{package.fullversion}:{screen.slot(slot)}: {teams}"


def _xml(subject: _Subject, alone: bool) -> Iterable[str]:
    with open(subject.xml_path, encoding="utf-8", errors="replace") as file:
        return [file.read().strip()]


# The parts in display order, each with whether it is shown without options.
_PARTS: dict[str, tuple[Callable[[_Subject, bool], Iterable[str]], bool]] = {
    "maintainer": (_maintainers, True),
    "upstream": (_upstream, True),
    "location": (_location, True),
    "keywords": (_keywords, True),
    "description": (_description, False),
    "useflags": (_useflags, False),
    "license": (_license, True),
    "stablereq": (_stable_requests, False),
    "xml": (_xml, False),
}


def _listed(texts: list[str], screen: Screen, first: str = "", rest: str = "") -> list[str]:
    """Return the wrapped texts, the first one after `first`; without texts, nothing in a pipe."""
    if not texts:
        return [_wrapped("", screen, first)] if screen.verbose else []
    lines = [_wrapped(texts[0], screen, first, rest)]
    return lines + [_wrapped(text, screen, rest, rest) if text else "" for text in texts[1:]]


def _wrapped(text: str, screen: Screen, first: str = "", rest: str = "") -> str:
    """Return `text` after `first`; keep its lines if they fit the width, else wrap it."""
    lines = text.expandtabs().strip("\n").splitlines()
    if not text or not lines:
        return f"{first}None specified"
    if max(map(len, lines)) + max(len(first), len(rest)) > screen.width:
        return screen.fill(re.sub(r"\s+", " ", " ".join(lines)).lstrip(), first, rest)
    lines = [first + lines[0], *(rest + line for line in lines[1:])]
    if lines[-1].isspace():
        # The last line is only the indent of the XML element's end tag.
        lines[-1] = ""
    return "\n".join(lines)
