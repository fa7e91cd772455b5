# SPDX-License-Identifier: BSD-3-Clause
"""Find the prefixes of this machine by their records."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from flatcar_prefix.boards import BOARDS, DEFAULT_BOARD, Board, board as board_of
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix import markers, record
from flatcar_prefix.prefix.model import RECORD_NAME, Prefix, Root
from flatcar_prefix.system.files import is_temporary, replace_link, sweep_temporaries
from flatcar_prefix.system.near import suggestion
from flatcar_prefix.system.places import Sdk, detect_sdk

_FINAL = ".final"
"""The end of the names of links to final directories."""


Named: TypeAlias = "Prefix | str | os.PathLike[str]"
"""What names a prefix, see :func:`load`."""


@dataclass(frozen=True)
class Broken:
    """A staging directory whose prefix cannot be used, and the reason."""

    directory: Path
    name: str
    board: Board
    reason: str
    hint: str

    @property
    def id(self) -> str:
        """The name in wrappers and messages, ``<name>-<board>``."""
        return f"{self.name}-{self.board.name}"

    def error(self) -> PrefixError:
        """Return the error for a command that needs this prefix."""
        return PrefixError(f"{self.reason}: {self.directory}", hint=self.hint)


@dataclass(frozen=True)
class Survey:
    """All prefixes of a machine."""

    prefixes: tuple[Prefix, ...]
    broken: tuple[Broken, ...]


def links_dir(sdk: Sdk) -> Path:
    """Return the directory of links to staging and final directories at custom paths."""
    return sdk.state_dir / "prefixes"


def remember(prefix: Prefix) -> None:
    """Register the directories of a prefix that are not at their default paths."""
    sdk = detect_sdk()  # A later command does not know the --scripts-dir of this one.
    places = {
        prefix.id: (prefix.staging_dir, sdk.staging_dir(prefix.board, prefix.name)),
        f"{prefix.id}{_FINAL}": (prefix.final_dir, sdk.final_dir(prefix.board, prefix.name)),
    }
    for name, (directory, default) in places.items():
        if directory != default:
            _link_to(directory, links_dir(sdk) / name)
        else:
            (links_dir(sdk) / name).unlink(missing_ok=True)


def _link_to(directory: Path, link: Path) -> None:
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        replace_link(link, directory)
    except FileNotFoundError:  # Another process has just removed the empty directory.
        link.parent.mkdir(parents=True, exist_ok=True)
        replace_link(link, directory)


def forget(sdk: Sdk, prefix: Prefix) -> None:
    """Undo :func:`remember`."""
    for name in (prefix.id, f"{prefix.id}{_FINAL}"):
        (links_dir(sdk) / name).unlink(missing_ok=True)
    sweep_temporaries(links_dir(sdk))
    with suppress(OSError):  # other links exist
        links_dir(sdk).rmdir()


def _staging_dirs(sdk: Sdk) -> Iterator[tuple[Path, str, Board]]:
    """Yield the possible staging directories, each with the name and board of its path."""
    for board in BOARDS.values():
        for directory in _entries(sdk.staging_dir(board, "x").parent):
            yield directory, directory.name, board
    for link in _entries(links_dir(sdk)):
        if not link.name.endswith(_FINAL) and not is_temporary(link.name):
            with suppress(OSError):
                yield Path(os.readlink(link)), *_split(link.name)


def _split(prefix_id: str) -> tuple[str, Board]:
    for board in BOARDS.values():
        if prefix_id.endswith(f"-{board.name}"):
            return prefix_id.removesuffix(f"-{board.name}"), board
    return prefix_id, BOARDS[DEFAULT_BOARD]


def _entries(directory: Path) -> list[Path]:
    """Return the entries of a directory; none if this user cannot read it."""
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def survey(*, scripts_dir: Path | str | None = None) -> Survey:
    """Return all prefixes of this machine by name, and those that cannot be used."""
    sdk = detect_sdk(scripts_dir=Path(scripts_dir) if scripts_dir else None)
    found: dict[Path, Prefix] = {}
    broken: dict[Path, Broken] = {}
    for directory, name, board in _staging_dirs(sdk):
        try:
            found[directory] = record.read(directory)
        except FileNotFoundError:
            if lost := _without_record(directory, name, board):
                broken[directory] = lost
        except (OSError, PrefixError) as error:
            if _has_record(directory):
                broken[directory] = _broken(directory, name, board, error)
    return Survey(
        tuple(sorted(found.values(), key=lambda p: (p.name, p.board.name))),
        tuple(sorted(broken.values(), key=lambda b: (b.name, b.board.name))),
    )


def _has_record(directory: Path) -> bool:
    try:
        return os.path.lexists(directory / RECORD_NAME)
    except ValueError:
        return False


def _broken(directory: Path, name: str, board: Board, error: OSError | PrefixError) -> Broken:
    if isinstance(error, PrefixError):
        return Broken(directory, name, board, str(error), error.hint)
    reason = f"the record of the prefix cannot be read: {error.strerror}"
    return Broken(directory, name, board, reason, "Correct the permissions or the file.")


def _without_record(directory: Path, name: str, board: Board) -> Broken | None:
    """Return the interrupted removal or the lost prefix that a path without a record shows."""
    hint = f"Remove its remains: flatcar-prefix uninstall {name}-{board.name}"
    if marker := markers.read(directory):
        reason = "the prefix has no record, only a marker"
        return Broken(directory, marker.name, board_of(marker.board), reason, hint)
    if not os.path.lexists(directory):
        return Broken(directory, name, board, "the staging directory does not exist", hint)
    return None


def list_prefixes(*, scripts_dir: Path | str | None = None) -> list[Prefix]:
    """Return all prefixes of this machine that have a readable record, by name."""
    return list(survey(scripts_dir=scripts_dir).prefixes)


def load(name: Named, *, board: str | None = None) -> Prefix:
    """Return the prefix that ``name`` means.

    It is the prefix's name, ``<name>-<board>``, its staging directory or its EPREFIX; a
    :class:`Prefix` is returned as it is. If several boards match, return the prefix that was set
    up first. Raise :class:`PrefixError` if none matches, or prefixes with different names do.
    """
    if isinstance(name, Prefix):
        return name
    if not isinstance(name, (str, os.PathLike)):
        raise UsageError(
            f"{name!r} does not name a prefix", hint="Give a name, a directory or a Prefix."
        )
    if board is not None:
        board_of(board)
    word = os.fspath(name)
    if "/" in word or isinstance(name, Path):
        return _load_path(word, board)
    known = survey()
    fitting = [p for p in known.prefixes if fits(p, word, board)]
    if fitting:
        return min(fitting, key=lambda p: p.created)
    for broken in known.broken:
        if fits(broken, word, board):
            raise broken.error()
    raise _unknown(word, board, known.prefixes)


def _load_path(path: str, board: str | None) -> Prefix:
    """Return the prefix in a staging directory, or the one with this EPREFIX."""
    directory = Path(os.path.realpath(path))
    if not os.path.lexists(directory / RECORD_NAME):
        here = os.path.abspath(path)
        fitting = [
            p for p in list_prefixes() if p.eprefix == here and board in (None, p.board.name)
        ]
        if len({p.name for p in fitting}) > 1:
            raise PrefixError(
                f"several prefixes have the path {here}",
                hint=f"Choose one of: {', '.join(p.id for p in fitting)}.",
            )
        if fitting:
            return min(fitting, key=lambda p: p.created)
    return load_from(directory)


def fits(one: Prefix | Broken, name: str, board: str | None) -> bool:
    """Return whether ``name`` and ``board`` mean this prefix."""
    return name in (one.name, one.id) and board in (None, one.board.name)


def _unknown(name: str, board: str | None, prefixes: Iterable[Prefix]) -> PrefixError:
    known = list(prefixes)
    names = ", ".join(p.id for p in known)
    near = suggestion(name, [word for p in known for word in (p.name, p.id)])
    return PrefixError(
        f"there is no prefix {name!r}{f' for {board}' if board else ''}",
        hint=f"{near}Choose one of: {names}."
        if names
        else "Create it: setup_prefix <name> <prefix path>.",
    )


def load_from(directory: Path | str) -> Prefix:
    """Return the prefix in a staging directory; raise :class:`PrefixError` without one."""
    try:
        return record.read(Path(os.path.realpath(directory)))
    except OSError as error:
        raise PrefixError(
            f"there is no prefix in {directory}: {error.strerror}",
            hint="Choose the name, the path or the staging directory of a prefix; run:"
            " flatcar-prefix list",
        ) from error


def linked(sdk: Sdk, name: str, board: Board) -> Path | None:
    """Return the registered staging directory of a prefix; ``None`` if it is the default."""
    return _link(links_dir(sdk) / f"{name}-{board.name}")


def linked_final(sdk: Sdk, name: str, board: Board) -> Path | None:
    """Return the registered final directory of a prefix; ``None`` if it is the default."""
    return _link(links_dir(sdk) / f"{name}-{board.name}{_FINAL}")


def _link(link: Path) -> Path | None:
    try:
        return Path(os.readlink(link))
    except OSError:
        return None


def setup_command(prefix: Prefix) -> str:
    """Return the command line that continues the set-up of ``prefix``."""
    words = ["setup_prefix"]
    if prefix.board.name != DEFAULT_BOARD:
        words.append(f"--board={prefix.board.name}")
    if prefix.bootstrap != "source":
        words.append(f"--bootstrap={prefix.bootstrap}")
    if prefix.staging_dir != detect_sdk().staging_dir(prefix.board, prefix.name):
        words.append(f"--staging-dir={prefix.staging_dir}")
    return shlex.join([*words, prefix.name, prefix.eprefix])


def refuse_unconfigured(root: Root) -> None:
    """Raise :class:`PrefixError` if a root has no EROOT; set-up writes both."""
    if root.eroot.is_dir():
        return
    prefix = root.prefix
    command = f"flatcar-prefix update {prefix.id}" if prefix.complete else setup_command(prefix)
    raise PrefixError(
        f"the {root.kind} root of {prefix.id} is not set up: {root.eroot} does not exist",
        hint=f"Set it up: {command}",
    )
