# SPDX-License-Identifier: BSD-3-Clause
"""The selection of the shipped files of a root: the rules, and the resulting list."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from flatcar_prefix import links
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix.not_shipped import CACHE, PORTAGE, Rule, rule_of

MERGED = ("usr", "opt")
"""The only directories of an image that systemd-sysext merges."""

CAPABILITY = "security.capability"
"""The only shipped extended attribute; it changes the rights of a program."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


_PRINTS_FLAGS = re.compile(rb"--(?:cflags|cxxflags|ldflags|libs|includes?)\b")
_SCRIPT = 1 << 18

PLACEHOLDER = "placeholder"
DEVEL = "devel"

RULES: tuple[Rule, ...] = (
    PORTAGE,
    Rule(
        PLACEHOLDER,
        "Portage's placeholder files in empty directories; the directories are shipped",
        ("**/.keep", "**/.keep_*"),
    ),
    CACHE,
    Rule(
        DEVEL,
        "files that only a compiler, a linker or a debugger reads",
        (
            "usr/include",
            "include",
            "**/*.a",
            "{usr/,}lib*/*.la",
            "{usr/,}lib*/*crt?.o",
            "{usr/,}lib*/crt?.o",
            "usr/lib*/python*/config-*/*.o",
            "usr/{lib*,share}/pkgconfig",
            "usr/lib*/cmake",
            "usr/share/cmake/**/*{C,-c}onfig{V,-v,}{ersion,}.cmake",
            "usr/share/cmake/**/*Targets{,-*}.cmake",
            "usr/lib*/gcc/*/*/include{,-fixed}",
            "usr/lib*/gcc/*/*/plugin",
            "usr/share/aclocal",
            "usr/share/gdb/auto-load",
            "usr/share/i18n",
            "usr/bin/*-config",
            "usr/lib/debug",
            "usr/src",
        ),
    ),
    Rule(
        "docs",
        "manuals and documentation",
        (
            "usr/share/man",
            "usr/share/doc",
            "usr/share/info",
            "usr/share/gtk-doc",
            "usr/share/devhelp",
        ),
    ),
)
"""The rules in their order: the first match applies. ``keep`` disables rules by name."""

EXCLUDED = "exclude"
UNMERGED = "unmerged"
SPECIAL = "special"
DANGLING = "dangling"
REASONS = {
    **{rule.name: rule.why for rule in RULES},
    EXCLUDED: "files that the caller excludes",
    UNMERGED: "files outside /usr and /opt, which systemd does not merge",
    SPECIAL: "sockets, pipes and devices",
    DANGLING: "symlinks to files that are left out",
}


UNCOUNTED = (CACHE.name, EXCLUDED)
"""Rules whose files are not counted, because the files may be unreadable."""


@dataclass(frozen=True)
class Entry:
    """One file of the image: a directory, a regular file or a symlink."""

    path: str
    """The path relative to the root of the image and of the target."""
    mode: int
    """The type and the permissions, as in ``st_mode``."""
    size: int = 0
    mtime_ns: int = 0
    source: Path | None = None
    """The file with a regular file's content; if None, :attr:`content` has the content."""
    content: bytes = b""
    target: str = ""
    """The target of a symlink."""
    inode: tuple[int, int] | None = None
    """The device and inode number of a file with several hard links, else None."""
    capability: bytes = b""

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def permissions(self) -> int:
        return stat.S_IMODE(self.mode)

    @property
    def mtime(self) -> int:
        return self.mtime_ns // 1_000_000_000

    def read(self) -> bytes:
        return self.content if self.source is None else self.source.read_bytes()


@dataclass
class Tally:
    """The number of files that a rule left out, and their size in bytes."""

    files: int = 0
    size: int = 0


@dataclass(frozen=True)
class Selection:
    """The files of an image, parents before children, each directory sorted by name."""

    entries: tuple[Entry, ...]
    left_out: dict[str, Tally] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    """The paths of files that do not come from the root."""
    root: Path = Path("/")
    """The directory with the source files, each at its path."""

    @cached_property
    def by_path(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self.entries}

    def holds(self, path: str) -> bool:
        """Return whether a path of the target leads to an entry of the selection."""
        return follow(path, self.by_path) in self.by_path

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)

    def newest(self) -> int:
        """Return the time of the newest regular file in seconds, or 0 without files."""
        return max((0, *(entry.mtime for entry in self.entries if entry.is_file)))

    def with_files(self, files: Iterable[Entry]) -> Selection:
        """Return a selection with ``files`` and their parent directories added."""
        merged, added = dict(self.by_path), tuple(files)
        for file in added:
            for parent in reversed(PurePosixPath(file.path).parents[:-1]):
                merged.setdefault(os.fspath(parent), Entry(os.fspath(parent), stat.S_IFDIR | 0o755))
            merged[file.path] = file
        paths = tuple(file.path for file in added)
        return replace(self, entries=in_order(merged.values()), added=self.added + paths)

    def at(self, epoch: int, *, clamp: bool) -> Selection:
        """Return a selection whose times do not depend on the time of installation.

        Directories, symlinks and generated files get the time ``epoch`` (seconds), because
        the installation sets the times of directories and symlinks. Regular files keep
        their times; with ``clamp``, newer times become ``epoch``. Times before 1970, which
        squashfs cannot hold, become 0 in all formats.
        """
        ns = max(epoch, 0) * 1_000_000_000

        def timed(entry: Entry) -> Entry:
            if entry.source and not (clamp and entry.mtime_ns > ns):
                return entry if entry.mtime_ns >= 0 else replace(entry, mtime_ns=0)
            return replace(entry, mtime_ns=ns)

        return replace(self, entries=tuple(timed(entry) for entry in self.entries))


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries in the order of a tree walk, with the names sorted by bytes."""
    return tuple(sorted(entries, key=lambda e: [os.fsencode(p) for p in e.path.split("/")]))


def exclusion(patterns: Sequence[str], *, eprefix: str) -> Rule:
    """Return the rule for ``patterns``: paths on the target, or relative to EPREFIX.

    Raise :class:`UsageError` for a pattern outside EPREFIX.
    """
    own = []
    for pattern in patterns:
        relative = pattern.rstrip("/")
        if pattern.startswith("/"):
            relative = os.path.relpath(relative, eprefix)
        if not relative or relative.startswith(".."):
            raise UsageError(
                f"the pattern {pattern!r} cannot match a file in {eprefix}",
                hint="Use a pattern relative to EPREFIX, such as --exclude usr/share/locale.",
            )
        own.append(relative)
    return Rule(EXCLUDED, REASONS[EXCLUDED], tuple(own))


def select(
    root: Path, eprefix: str, *, keep: Iterable[str] = (), exclude: Sequence[str] = ()
) -> Selection:
    """Return the shipped files of ``root`` for a prefix at ``eprefix``.

    ``keep`` has the names of the rules to disable. ``exclude`` has patterns of files to
    leave out. Raise :class:`PrefixError` for an unreadable file, and for control characters
    in a name or link; raise :class:`UsageError` for a pattern outside EPREFIX.
    """
    kept = set(keep)
    rules = [rule for rule in RULES if rule.name not in kept]
    if exclude:
        rules.insert(0, exclusion(exclude, eprefix=eprefix))
    walk = _Walk(root, eprefix.strip("/"), rules)
    found = list(walk.below("", root))
    # A directory that contains only removed directories is removed, too.
    emptied = walk.emptied | {_parent(entry) for entry in found}
    found, dangling = _without_dangling(root, _without_emptied(found, emptied))
    for entry in dangling:
        walk.leave_out(DANGLING, entry.size)
    return Selection(in_order(_without_emptied(found, emptied)), walk.left_out, root=root)


class _Walk:
    """A walk over a root: it yields the shipped entries and counts the others."""

    def __init__(self, root: Path, eprefix: str, rules: Sequence[Rule]) -> None:
        self.root = root
        self.inside = eprefix + "/"
        self.rules = rules
        self.left_out: dict[str, Tally] = {}
        self.emptied: set[str] = set()
        """Directories with entries that are left out."""

    def leave_out(self, rule: str, size: int) -> None:
        tally = self.left_out.setdefault(rule, Tally())
        tally.files += 1
        tally.size += size

    def below(self, path: str, directory: Path) -> Iterator[Entry]:
        for item in _scan(directory):
            inner = f"{path}/{item.name}" if path else item.name
            status = item.stat(follow_symlinks=False)
            if rule := self._rule(inner, status):
                if rule != PLACEHOLDER:
                    self.emptied.add(path)
                self._count(rule, item)
                continue
            yield self._shared(_entry(inner, item, status))
            if stat.S_ISDIR(status.st_mode):
                yield from self.below(inner, Path(item.path))

    def _shared(self, entry: Entry) -> Entry:
        """Return ``entry``; a directory outside the prefix gets mode 0755.

        systemd-sysext merges such a directory with the system's directory and applies its
        mode, and all users must be able to enter the system's directory.
        """
        if entry.is_dir and not entry.path.startswith(self.inside):
            return replace(entry, mode=stat.S_IFDIR | 0o755)
        return entry

    def _rule(self, path: str, status: os.stat_result) -> str:
        if path.split("/", 1)[0] not in MERGED:
            return UNMERGED
        if stat.S_IFMT(status.st_mode) not in (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK):
            return SPECIAL
        if not path.startswith(self.inside):
            return ""
        rule = rule_of(path[len(self.inside) :], self.rules)
        if path.endswith("-config") and rule == DEVEL and not prints_flags(self.root / path):
            return ""
        return rule

    def _count(self, rule: str, item: os.DirEntry[str]) -> None:
        is_dir = item.is_dir(follow_symlinks=False)
        if rule in UNCOUNTED:
            self.left_out.setdefault(rule, Tally())
        elif is_dir:
            for inner in _scan(Path(item.path)):
                self._count(rule, inner)
        else:
            self.leave_out(rule, item.stat(follow_symlinks=False).st_size)


def prints_flags(path: Path) -> bool:
    """Return whether a program named ``*-config`` is a script that prints compiler flags.

    Other programs have such names, too, such as pkg-config.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_SCRIPT)
    except OSError:
        return False
    return head.startswith(b"#!") and bool(_PRINTS_FLAGS.search(head))


def _scan(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as items:
            return sorted(items, key=lambda item: os.fsencode(item.name))
    except PermissionError as error:
        raise _unreadable(directory) from error


def _unreadable(path: Path) -> PrefixError:
    return PrefixError(
        f"{path} cannot be read", hint="Run this command as the prefix's owner or as root."
    )


def _entry(path: str, item: os.DirEntry[str], status: os.stat_result) -> Entry:
    _check_text("file name", path, path)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(item.path)
        _check_text("symlink target", target, path)
        return Entry(path, stat.S_IFLNK | 0o777, len(os.fsencode(target)), target=target)
    if not os.access(item.path, os.R_OK):
        raise _unreadable(Path(item.path))
    return Entry(
        path,
        status.st_mode,
        status.st_size,
        mtime_ns=status.st_mtime_ns,
        source=Path(item.path),
        inode=(status.st_dev, status.st_ino) if status.st_nlink > 1 else None,
        capability=_capability(item.path) if status.st_mode & 0o111 else b"",
    )


def _check_text(what: str, text: str, path: str) -> None:
    """Raise :class:`PrefixError` for control characters.

    The scripts of some tools have one name or one command per line.
    """
    if _CONTROL.search(text):
        where = "" if text == path else f" of {path!r}"
        raise PrefixError(
            f"the {what} {text!r}{where} has control characters, which images do not support",
            hint="Exclude the file with --exclude.",
        )


def _capability(path: str) -> bytes:
    try:
        return os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except OSError:
        return b""


def _without_dangling(root: Path, found: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Return the entries to ship, and the symlinks to files that are left out.

    A symlink whose target does not exist in the root either stays, and the audit reports it.
    """
    shipped = {entry.path: entry for entry in found}
    dangling: list[Entry] = []
    while True:
        lost = [e for e in shipped.values() if e.is_link and _lost(root, e, shipped)]
        if not lost:
            return list(shipped.values()), dangling
        dangling += lost
        for entry in lost:
            del shipped[entry.path]


def _lost(root: Path, link: Entry, shipped: Mapping[str, Entry]) -> bool:
    """Return whether ``link`` leads to a file that exists in the root and is not shipped."""
    end = follow(os.path.join(os.path.dirname(link.path), link.target), shipped)
    return end not in shipped and os.path.lexists(root / end)


def follow(path: str, shipped: Mapping[str, Entry]) -> str:
    """Return a path of the target with its links resolved, up to the first missing part."""

    def look(here: str) -> str | None:
        entry = shipped.get(here.lstrip("/"))
        if entry is None:
            raise links.Unreachable("not shipped")
        return entry.target if entry.is_link else None

    return links.follow(path, look).path.lstrip("/")


def _without_emptied(found: Iterable[Entry], emptied: set[str]) -> list[Entry]:
    """Return the entries without emptied directories; initially empty directories stay."""
    kept: list[Entry] = []
    alive: set[str] = set()
    for entry in reversed(in_order(found)):
        if entry.is_dir and entry.path in emptied and entry.path not in alive:
            continue
        kept.append(entry)
        alive.add(_parent(entry))
    return kept[::-1]


def _parent(entry: Entry) -> str:
    return os.path.dirname(entry.path)


def changed(path: Path) -> PrefixError:
    return PrefixError(
        f"{path} changed during reading",
        hint="Wait until no emerge runs in the prefix, then make the image again.",
    )
