# SPDX-License-Identifier: BSD-3-Clause
"""List the files that a package installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.errors import BadOption
from flatcar_prefix.equery.output import Screen
from flatcar_prefix.equery.query import Where, find, parse_query
from flatcar_prefix.equery.session import Session
from flatcar_prefix.equery.vdb_contents import Entry, parse, shown

RULES = ("dir", "obj", "sym", "dev", "path", "conf", "cmd", "doc", "man", "info", "fifo")
OPTIONS = (
    Option("md5sum", "m", "show each file's MD5 sum"),
    Option("timestamp", "s", "show each file's timestamp"),
    Option("type", "t", "show each file's type"),
    Option("tree", "", "show a tree, and ignore the other options"),
    Option("filter", "f", "show only files of these types, separated by commas:", "RULES"),
    Option("exact-name", "e"),
)
HELP_NOTES = (", ".join(RULES),)

_Contents = dict[str, Entry]


def run(given: Given, operands: list[str], session: Session) -> int:
    rules = _rules(given)
    screen = session.screen
    for position, operand in enumerate(operands):
        if position:
            screen.out()
        for package in find(parse_query(operand), session, Where(), announce=True):
            if screen.verbose:
                screen.out(f" * Contents of {screen.cpv(package.cpv)}:")
            contents = parse(session.target.installed.contents(package.cpv))
            if "tree" in given:
                _print_tree(contents, screen)
            else:
                _print(_filtered(contents, rules, session), given, screen)
    return 0


def _rules(given: Given) -> list[str]:
    words = [word.lstrip("=") for rules in given.get("filter", ()) for word in rules.split(",")]
    for word in words:
        if word not in RULES:
            raise BadOption(f"Invalid filter rule '{word}'")
    return words


def _print(contents: _Contents, given: Given, screen: Screen) -> None:
    extras = {
        "kind": "type" in given,
        "md5": "md5sum" in given,
        "timestamp": "timestamp" in given,
    }
    plain = not any(extras.values()) and screen.piping and not screen.color
    for path in sorted(contents):
        screen.out(path if plain else shown(path, contents[path], screen, **extras))


def _print_tree(contents: _Contents, screen: Screen) -> None:
    """Print the directories as headings, with their files indented below."""
    last: list[str] = []
    for path in sorted(contents):
        depth = path.count("/")
        indent = " " if depth < 2 else "   " * max(depth - 1, 1)
        parts = path.rsplit("/", depth - 1)
        entry = contents[path]
        if entry.kind == "dir":
            last = _print_directory(parts, last, indent, screen)
        elif entry.kind == "sym":
            link = screen.symlink(f"{parts[-1]} -> {entry.extra}")
            screen.out(f"{screen.path(indent + '+')} {link}")
        else:
            screen.out(f"{screen.path(indent + '+ ')}{parts[-1]}")


def _print_directory(parts: list[str], last: list[str], indent: str, screen: Screen) -> list[str]:
    """Print the parts of a directory's path that differ from the last one; return the new last."""
    if not last:
        screen.out(screen.path(indent + parts[0]))
        return parts
    for level, part in enumerate(parts):
        if level < len(last) and part in last[level]:
            continue
        last = parts
        heading = parts[0] if len(parts) == 1 else f"> /{parts[-1]}"
        screen.out(screen.path(indent + heading))
    return last


def _filtered(contents: _Contents, rules: list[str], session: Session) -> _Contents:
    if not rules:
        return contents
    wanted = {path for rule in rules for path in _selected(contents, rule, session)}
    return {path: contents[path] for path in wanted}


def _selected(contents: _Contents, rule: str, session: Session) -> Iterable[str]:
    if rule in ("doc", "man", "info"):
        eprefix = session.target.eprefix
        below = (f"/usr/share/{rule}", f"{eprefix}/usr/share/{rule}")
        return _of_kind(contents, ("obj",), lambda path: path.startswith(below))
    if rule == "cmd":
        commands = _command_directories(session)
        return _of_kind(contents, ("obj", "sym"), lambda p: os.path.dirname(p) in commands)
    if rule == "conf":
        return _configuration(contents, session)
    if rule == "path":
        return _directories_with_files(contents)
    return _of_kind(contents, ("fif" if rule == "fifo" else rule,), lambda path: True)


def _of_kind(
    contents: _Contents, kinds: tuple[str, ...], matches: Callable[[str], bool]
) -> list[str]:
    return [path for path, entry in contents.items() if entry.kind in kinds and matches(path)]


def _command_directories(session: Session) -> set[str]:
    """Return the directories of PATH and the prefix's directories for programs."""
    path = session.env.get("PATH", "").split(os.pathsep)
    prefix = session.target.eprefix
    own = [f"{prefix}/{d}" for d in ("usr/bin", "usr/sbin", "bin", "sbin")] if prefix else []
    return {os.path.normpath(directory) for directory in [*path, *own]}


def _configuration(contents: _Contents, session: Session) -> Iterable[str]:
    settings, eprefix = session.target.settings, session.target.eprefix

    def paths(variable: str) -> tuple[str, ...]:
        named = [os.path.normpath(path) for path in settings.get(variable, "").split()]
        return (*named, *(eprefix + path for path in named if eprefix))

    protected, masked = paths("CONFIG_PROTECT"), paths("CONFIG_PROTECT_MASK")
    return _of_kind(
        contents, ("obj",), lambda p: p.startswith(protected) and not p.startswith(masked)
    )


def _directories_with_files(contents: _Contents) -> Iterable[str]:
    """Yield the topmost directories that contain other entries than directories."""
    holders = {os.path.dirname(path) for path, entry in contents.items() if entry.kind != "dir"}
    covered: str | None = None
    for path in sorted(contents):
        if covered is not None and path.startswith(covered):
            continue
        covered = None
        if contents[path].kind == "dir" and path in holders:
            covered = path
            yield path
