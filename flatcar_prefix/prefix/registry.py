# SPDX-License-Identifier: BSD-3-Clause
"""Find the prefixes of this machine by their records."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from flatcar_prefix.boards import BOARDS, DEFAULT_BOARD, board as board_of
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.places import Sdk, detect_sdk


def links_dir(sdk: Sdk) -> Path:
    """Return the directory of links to staging directories at custom paths."""
    return sdk.state_dir / "prefixes"


def remember(sdk: Sdk, prefix: Prefix) -> None:
    """Register a prefix whose staging directory is not at the default path."""
    links_dir(sdk).mkdir(parents=True, exist_ok=True)
    link = links_dir(sdk) / prefix.id
    link.unlink(missing_ok=True)
    link.symlink_to(prefix.staging_dir)


def _staging_dirs(sdk: Sdk) -> Iterator[Path]:
    for board in BOARDS.values():
        yield from _entries(sdk.staging_dir(board, "x").parent)
    yield from (Path(os.readlink(link)) for link in _entries(links_dir(sdk)))


def _entries(directory: Path) -> list[Path]:
    """Return the entries of a directory; none if this user cannot read it."""
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def forget(sdk: Sdk, prefix: Prefix) -> None:
    """Undo :func:`remember`."""
    (links_dir(sdk) / prefix.id).unlink(missing_ok=True)


def list_prefixes(*, scripts_dir: Path | str | None = None) -> list[Prefix]:
    """Return all prefixes of this machine that have a readable record, by name."""
    sdk = detect_sdk(scripts_dir=Path(scripts_dir) if scripts_dir else None)
    found: dict[Path, Prefix] = {}
    for directory in _staging_dirs(sdk):
        try:
            found[directory] = record.read(directory)
        except (OSError, PrefixError):
            continue
    return sorted(found.values(), key=lambda p: (p.name, p.board.name))


def load(name: str, *, board: str | None = None) -> Prefix:
    """Return the prefix called ``name``.

    If several boards match, return the prefix that was set up first. ``name`` can also be
    ``<name>-<board>`` or a staging directory. Raise :class:`PrefixError` if none matches.
    """
    if board is not None:
        board_of(board)
    if "/" in name:
        return load_from(name)
    fitting = [
        p
        for p in list_prefixes()
        if (p.name == name and board in (None, p.board.name)) or (board is None and p.id == name)
    ]
    if not fitting:
        names = ", ".join(p.id for p in list_prefixes())
        raise PrefixError(
            f"there is no prefix {name!r}{f' for {board}' if board else ''}",
            hint=f"Choose one of: {names}."
            if names
            else "Create it: setup_prefix <name> <prefix path>.",
        )
    return min(fitting, key=lambda p: p.created)


def load_from(directory: Path | str) -> Prefix:
    """Return the prefix in a staging directory; raise :class:`PrefixError` without one."""
    try:
        return record.read(Path(os.path.realpath(directory)))
    except OSError as error:
        raise PrefixError(
            f"there is no prefix in {directory}: {error.strerror}",
            hint="Give the staging directory of a prefix, or run `flatcar-prefix list`.",
        ) from error


def setup_command(prefix: Prefix) -> str:
    """Return the command line that continues the set-up of ``prefix``."""
    words = ["setup_prefix"]
    if prefix.board.name != DEFAULT_BOARD:
        words.append(f"--board={prefix.board.name}")
    if prefix.bootstrap != "source":
        words.append(f"--bootstrap={prefix.bootstrap}")
    if prefix.staging_dir != detect_sdk().staging_dir(prefix.board, prefix.name):
        words.append(f"--staging_dir={prefix.staging_dir}")
    return shlex.join([*words, prefix.name, prefix.eprefix])
