# SPDX-License-Identifier: BSD-3-Clause
"""The files of this program in a configuration directory, next to the user's.

``emerge --autounmask-write`` and etc-update append to the last file of a list, and people edit
any file. Each command that writes the configuration rewrites this program's files. So their
names sort first and the name of the user's file sorts last. Before a rewrite, lines that this
program did not write move to the user's file. A copy of each written text identifies them.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.system.files import write_atomic
from flatcar_prefix.system.progress import NO_PROGRESS, Progress

OWN_FILE = "00-flatcar-prefix"
"""The name of this program's file in directories whose files are read in order."""

USER_FILE = "zz-user"
"""The name of the user's file there, which tools append to."""

FORMER_OWN_FILE = "flatcar-prefix"
"""The name that version 0.1.0 gave to its file."""

COPIES = ".flatcar-prefix"
"""The directory of the copies, below the configuration directory. Portage skips such names."""

HEADING = "# Yours: flatcar-prefix never rewrites this file.\n"

FROM = "# From "
"""The first words of each file that comes from a checkout."""

Split = Callable[[str], list[str]]
"""Splits a text into statements, without the empty lines."""


@dataclass(frozen=True)
class Kind:
    """The parser of a format, and the user's statements in a file without a copy."""

    split: Split
    foreign: Callable[[list[str], list[str]], list[str]]
    """Returns the user's statements, from those of the file and of its new text."""


def lines(text: str) -> list[str]:
    """Return the lines of a list."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def assignments(text: str) -> list[str]:
    """Return the assignments of a make.conf; a value may have several lines."""
    found: list[str] = []
    open_ = ""
    for line in text.splitlines():
        if not open_ and (not line.strip() or line.lstrip().startswith("#")):
            found += [line] if line.strip() else []
            continue
        open_ = f"{open_}\n{line}" if open_ else line
        if _is_closed(open_):
            found.append(open_)
            open_ = ""
    return [*found, open_] if open_ else found


def _is_closed(text: str) -> bool:
    if text.endswith("\\"):
        return False
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def options(text: str) -> list[str]:
    """Return ``[section]``, a line end and the option, for each option of a repos.conf."""
    found: list[str] = []
    section = ""
    for line in lines(text):
        if line.startswith("["):
            section = line
        elif line[0].isspace() and found:
            found[-1] += f"\n{line}"
        else:
            found.append(f"{section}\n{line}")
    return found


def _not_in(statements: Iterable[str], known: Iterable[str]) -> list[str]:
    known = frozenset(known)
    return [statement for statement in statements if statement not in known]


def _without_old_comments(statements: list[str]) -> list[str]:
    """Return statements with those comments that directly precede one of them."""
    kept: list[str] = []
    comments: list[str] = []
    for statement in statements:
        if statement.lstrip().startswith("#"):
            comments.append(statement)
        else:
            kept += [*(c for c in comments if c.startswith("# required by")), statement]
            comments = []
    return kept


def _by_line(current: list[str], new: list[str]) -> list[str]:
    return _without_old_comments(_not_in(current, new))


def _by_name(current: list[str], new: list[str]) -> list[str]:
    """For make.conf: euse may have changed USE; other variables of the same name are old."""
    names = {_name(statement) for statement in new} - {"USE"}
    return [s for s in _without_old_comments(_not_in(current, new)) if _name(s) not in names]


def _name(statement: str) -> str:
    return re.split(r"[=\s]", statement, maxsplit=1)[0]


def _by_package(current: list[str], new: list[str]) -> list[str]:
    """For package.provided: another version of the same package is old."""
    packages = {_package(line) for line in new}
    return [s for s in _by_line(current, new) if _package(s) not in packages]


def _package(line: str) -> str:
    return re.sub(r"-\d[^-]*(-r\d+)?$", "", line.strip().lstrip("-*"))


def _behind_the_last_known(current: list[str], new: list[str]) -> list[str]:
    """For a file from a checkout, which changes with it: only appended statements."""
    if not current or not current[0].startswith(FROM):
        return current
    known = frozenset(new)
    last = max((n for n, line in enumerate(current) if line in known), default=len(current))
    return current[last + 1 :]


OWN_OPTIONS = ("location", "masters", "priority", "auto-sync", "main-repo")
"""The options of repos.conf that follow the prefix's record, in each of its sections."""


def _is_own_option(option: str) -> bool:
    return re.split(r"\s*[=:]", option.partition("\n")[2])[0].strip() in OWN_OPTIONS


def _by_section(current: list[str], new: list[str]) -> list[str]:
    ours = {s.partition("\n")[0] for s in current if s.endswith("auto-sync = no")} | {"[DEFAULT]"}
    return [
        option
        for option in _not_in(current, new)
        if not option.partition("\n")[2].startswith("#")
        and not (option.partition("\n")[0] in ours and _is_own_option(option))
    ]


LIST = Kind(lines, _by_line)
PROVIDED = Kind(lines, _by_package)
FROM_CHECKOUT = Kind(lines, _behind_the_last_known)
MAKE_CONF = Kind(assignments, _by_name)
REPOS_CONF = Kind(options, _by_section)
SCRIPT = Kind(str.splitlines, lambda _current, _new: [])


def _inserted(before: list[str], current: list[str]) -> list[str]:
    """Return the lines that were inserted into a script, where the same line occurs often."""
    changes = difflib.SequenceMatcher(None, before, current, autojunk=False).get_opcodes()
    return [line for tag, _, _, i, j in changes if tag != "equal" for line in current[i:j]]


class OwnFiles:
    """Writes this program's files below one configuration directory."""

    def __init__(self, config: Path, say: Progress = NO_PROGRESS) -> None:
        self.config = config
        self._say = say

    def write(
        self, name: str, text: str, *, kind: Kind = LIST, user: str = "", former: str = ""
    ) -> None:
        """Write ``text`` to the file ``name``; the user's lines in it move to ``user``.

        ``former`` is an earlier name of the file. ``user`` is :data:`USER_FILE` beside
        the file by default. All names are paths from the configuration directory.
        """
        path = self.config / name
        user = user or os.path.join(os.path.dirname(name), USER_FILE)
        self.make_directory(os.path.dirname(name))
        for place in filter(None, (former, name)):
            self._rescue(place, text, kind, user)
        write_atomic(path, text)
        copy = self.config / COPIES / name
        if copy.parent.is_file():
            copy.parent.unlink()
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(copy, text)
        if former:
            for old in (self.config / former, self.config / COPIES / former):
                if old.is_symlink() or old.is_file():
                    old.unlink()

    def _rescue(self, name: str, text: str, kind: Kind, user: str) -> None:
        """Move the user's statements from a file of this program to the user's file."""
        path = self.config / name
        if path.is_symlink() or not path.is_file():
            return
        current = kind.split(path.read_text(encoding="utf-8", errors="backslashreplace"))
        new = kind.split(text)
        copy = self.config / COPIES / name
        if copy.is_file():
            written = kind.split(copy.read_text(encoding="utf-8"))
            if kind is SCRIPT:
                foreign = _inserted(written, current) if current != new else []
            else:
                foreign = _not_in(current, [*written, *new])
        else:
            foreign = kind.foreign(current, new)
        if not foreign:
            return
        before = _before_the_sources(current, foreign) if kind is MAKE_CONF else []
        after = [statement for statement in foreign if statement not in before]
        self._add(user, kind, before, after, new)
        shown = "; ".join(s.replace("\n", " ") for s in foreign if not s.startswith("#"))
        self._say.warn(
            f"flatcar-prefix rewrites {path}; your lines moved to {self.config / user}:"
            f" {shown or foreign[0]}"
        )

    def _add(
        self, user: str, kind: Kind, before: list[str], after: list[str], new: list[str]
    ) -> None:
        path = self.config / user
        text = path.read_text(encoding="utf-8", errors="backslashreplace") if path.exists() else ""
        there = () if kind is SCRIPT else kind.split(text)
        first, last = (
            "".join(_written(kind, _not_in(part, there), new)) for part in (before, after)
        )
        text = text or HEADING
        text += "" if text.endswith("\n") else "\n"
        write_atomic(path, f"{first}{text}{last}")

    def user_file(self, name: str) -> None:
        """Create the user's file ``name``, unless the name exists."""
        self.make_directory(os.path.dirname(name))
        path = self.config / name
        if not os.path.lexists(path):
            write_atomic(path, HEADING)

    def make_directory(self, name: str) -> None:
        """Make the directory ``name``. A file in its place becomes a file in it.

        This is the user's file, or the file that version 0.1.0 wrote under this name.
        """
        path = self.config / name
        aside = path.with_name(f".{path.name}.old")
        if name and not path.is_symlink() and path.is_file():
            path.rename(aside)
        path.mkdir(parents=True, exist_ok=True)
        if name and aside.is_file():  # also after an interruption
            ours = name in WERE_OWN_FILES
            aside.rename(path / (OWN_FILE if ours else USER_FILE))
            if not ours:
                self._say.warn(
                    f"{path} is a directory now; its former content is in {path / USER_FILE}"
                )


WERE_OWN_FILES = ("repos.conf", "profile/package.provided")
"""Directories that were single files in version 0.1.0."""


def _before_the_sources(current: list[str], foreign: list[str]) -> list[str]:
    """Return those of ``foreign`` that make.conf has before it reads the user's files."""
    first = next((n for n, s in enumerate(current) if s.startswith("source ")), 0)
    head = frozenset(current[:first])
    return [statement for statement in foreign if statement in head]


def _written(kind: Kind, statements: list[str], new: list[str]) -> Iterator[str]:
    """Yield the text of statements. Statements that Portage cannot read become comments.

    So do options of a repository that follow the record, as in ``new``.
    """
    if kind is REPOS_CONF:
        yield from _written_options(statements, {s.partition("\n")[0] for s in new})
        return
    for statement in statements:
        readable = kind is not MAKE_CONF or _is_closed(statement)
        yield f"{statement}\n" if readable else _comment(statement)


def _written_options(statements: list[str], ours: set[str]) -> Iterator[str]:
    section = ""
    for statement in statements:
        head, _, option = statement.partition("\n")
        if head != section:
            yield f"{head}\n"
        section = head
        yield _comment(option) if head in ours and _is_own_option(statement) else f"{option}\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())
