# SPDX-License-Identifier: BSD-3-Clause
"""What of a root is shipped: the rules, as data, and the list of files that they leave."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix.not_shipped import CACHE, PORTAGE, Rule, rule_of

MERGED = ("usr", "opt")
"""The only directories of an image that systemd-sysext merges."""

CAPABILITY = "security.capability"
"""The only extended attribute that is shipped: it changes what a program may do."""


_MAX_LINKS = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


PLACEHOLDER = "placeholder"

RULES: tuple[Rule, ...] = (
    PORTAGE,
    Rule(
        PLACEHOLDER,
        "files by which Portage keeps empty directories; the directories are shipped",
        ("**/.keep", "**/.keep_*"),
    ),
    CACHE,
    Rule(
        "devel",
        "only a compiler, a linker or a debugger reads it",
        (
            "usr/include",
            "include",
            "**/*.a",
            "**/*.la",
            "{usr/,}lib*/*crt?.o",
            "{usr/,}lib*/crt?.o",
            "usr/lib*/python*/config-*/*.o",
            "usr/{lib*,share}/pkgconfig",
            "usr/{lib*,share}/cmake",
            "usr/lib*/gcc/*/*/include{,-fixed}",
            "usr/lib*/gcc/*/*/plugin",
            "usr/share/aclocal",
            "usr/share/gdb",
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
"""In the order in which they are tried. ``keep`` leaves rules out by name."""

EXCLUDED = "exclude"
UNMERGED = "unmerged"
SPECIAL = "special"
DANGLING = "dangling"
REASONS = {
    **{rule.name: rule.why for rule in RULES},
    EXCLUDED: "the caller asked for it",
    UNMERGED: "outside /usr and /opt, which is all that is merged",
    SPECIAL: "sockets, pipes and devices",
    DANGLING: "symlinks to what was left out",
}


UNCOUNTED = (CACHE.name, EXCLUDED)
"""What is left out whoever may read it and whatever is in it, so that nothing of it is told."""


@dataclass(frozen=True)
class Entry:
    """One file of the image: a directory, a regular file or a symlink."""

    path: str
    """Relative to the root of the image, which is that of the target."""
    mode: int
    """Type and permissions, as ``st_mode``."""
    size: int = 0
    mtime_ns: int = 0
    source: Path | None = None
    """Where a regular file's content is; it has :attr:`content` otherwise."""
    content: bytes = b""
    target: str = ""
    """Of a symlink."""
    inode: tuple[int, int] | None = None
    """Of a file with several names: device and number."""
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
    """How much a rule has left out."""

    files: int = 0
    size: int = 0


@dataclass(frozen=True)
class Selection:
    """The files of an image, parents before children, each directory in order of names."""

    entries: tuple[Entry, ...]
    left_out: dict[str, Tally] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    """Files that are not of the root."""
    root: Path = Path("/")
    """Where the files that have a source are, each at its path."""

    @cached_property
    def by_path(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self.entries}

    def holds(self, path: str) -> bool:
        """Return whether a path of the target leads to something in here."""
        return follow(path, self.by_path) in self.by_path

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)

    def newest(self) -> int:
        """The time of the newest regular file, in seconds."""
        return max((entry.mtime for entry in self.entries if entry.is_file), default=0)

    def with_files(self, files: Iterable[Entry]) -> Selection:
        """Return a selection that holds ``files`` too, and the directories they need."""
        merged, added = dict(self.by_path), tuple(files)
        for file in added:
            for parent in reversed(PurePosixPath(file.path).parents[:-1]):
                merged.setdefault(os.fspath(parent), Entry(os.fspath(parent), stat.S_IFDIR | 0o755))
            merged[file.path] = file
        paths = tuple(file.path for file in added)
        return replace(self, entries=in_order(merged.values()), added=self.added + paths)

    def at(self, epoch: int, *, clamp: bool) -> Selection:
        """Return a selection that says nothing of when it was installed.

        Directories and symlinks get ``epoch``, since installing sets their times;
        regular files keep theirs, with ``clamp`` up to ``epoch``.
        """
        ns = epoch * 1_000_000_000

        def timed(entry: Entry) -> Entry:
            if entry.source and not (clamp and entry.mtime_ns > ns):
                return entry
            return replace(entry, mtime_ns=ns)

        return replace(self, entries=tuple(timed(entry) for entry in self.entries))


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries as a walk of the tree meets them, names in order of bytes."""
    return tuple(sorted(entries, key=lambda e: [os.fsencode(p) for p in e.path.split("/")]))


def exclusion(patterns: Sequence[str], *, eprefix: str) -> Rule:
    """Return the rule for what the caller leaves out, by path on the target or in EPREFIX."""
    own = []
    for pattern in patterns:
        relative = pattern.rstrip("/")
        if pattern.startswith("/"):
            relative = os.path.relpath(relative, eprefix)
        if not relative or relative.startswith(".."):
            raise UsageError(
                f"nothing in {eprefix} is {pattern!r}",
                hint="Give --exclude a pattern relative to EPREFIX, such as usr/share/locale.",
            )
        own.append(relative)
    return Rule(EXCLUDED, REASONS[EXCLUDED], tuple(own))


def select(
    root: Path, eprefix: str, *, keep: Iterable[str] = (), exclude: Sequence[str] = ()
) -> Selection:
    """Return what of ``root`` is shipped for a prefix at ``eprefix``.

    ``keep`` names the rules that do not apply. :class:`PrefixError` for a file that the
    caller may not read.
    """
    kept = set(keep)
    rules = [rule for rule in RULES if rule.name not in kept]
    if exclude:
        rules.insert(0, exclusion(exclude, eprefix=eprefix))
    walk = _Walk(root, eprefix.strip("/"), rules)
    found = list(walk.below("", root))
    # A directory of nothing but directories that go, goes with them.
    emptied = walk.emptied | {_parent(entry) for entry in found}
    found, dangling = _without_dangling(root, _without_emptied(found, emptied))
    for entry in dangling:
        walk.leave_out(DANGLING, entry.size)
    return Selection(in_order(_without_emptied(found, emptied)), walk.left_out, root=root)


class _Walk:
    """One walk over a root: yields what is shipped and counts what is not."""

    def __init__(self, root: Path, eprefix: str, rules: Sequence[Rule]) -> None:
        self.root = root
        self.inside = eprefix + "/"
        self.rules = rules
        self.left_out: dict[str, Tally] = {}
        self.emptied: set[str] = set()
        """Directories that something was left out of."""

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
        """Return ``entry``, a directory that is not the prefix's alone with the usual mode.

        Merged, it gives its mode to the target's own directory, which everyone needs.
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
        return rule_of(path[len(self.inside) :], self.rules)

    def _count(self, rule: str, item: os.DirEntry[str]) -> None:
        is_dir = item.is_dir(follow_symlinks=False)
        if rule in UNCOUNTED:
            self.left_out.setdefault(rule, Tally())
        elif is_dir:
            for inner in _scan(Path(item.path)):
                self._count(rule, inner)
        else:
            self.leave_out(rule, item.stat(follow_symlinks=False).st_size)


def _scan(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as items:
            return sorted(items, key=lambda item: os.fsencode(item.name))
    except PermissionError as error:
        raise _unreadable(directory) from error


def _unreadable(path: Path) -> PrefixError:
    return PrefixError(
        f"{path} may not be read", hint="Run this as the user who owns the prefix, or as root."
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
    """Refuse control characters: tools are told names in lines, and a line can be a command."""
    if _CONTROL.search(text):
        where = "" if text == path else f" of {path!r}"
        raise PrefixError(
            f"the {what} {text!r}{where} has control characters, which no image is to have",
            hint="Leave it out with --exclude.",
        )


def _capability(path: str) -> bytes:
    try:
        return os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except OSError:
        return b""


def _without_dangling(root: Path, found: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Part the symlinks that lead to what was left out from everything else.

    One that leads nowhere in the root either stays: that is for the audit to say.
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
    """Return whether ``link`` leads to what is in the root and not shipped."""
    end = follow(os.path.join(os.path.dirname(link.path), link.target), shipped)
    return end not in shipped and os.path.lexists(root / end)


def follow(path: str, shipped: Mapping[str, Entry]) -> str:
    """Return where a path of the target leads: without links, or the first part not there."""
    todo = path.split("/")[::-1]
    done: list[str] = []
    links = 0
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            done[-1:] = []
            continue
        here = "/".join([*done, name])
        entry = shipped.get(here)
        if entry is None or links > _MAX_LINKS:
            return here
        if not entry.is_link:
            done.append(name)
            continue
        links += 1
        if entry.target.startswith("/"):
            done.clear()
        todo += entry.target.split("/")[::-1]
    return "/".join(done)


def _without_emptied(found: Iterable[Entry], emptied: set[str]) -> list[Entry]:
    """Drop directories that have been emptied; those that were empty before stay."""
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
        f"{path} changed while it was read",
        hint="Wait until nothing installs into the prefix, then make the image again.",
    )
