# SPDX-License-Identifier: BSD-3-Clause
"""The options of a set-up, checked before any work starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.boards import Board, board as board_of
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.lifecycle import stages as bootstrapping
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.names import check_eprefix, check_name
from flatcar_prefix.system.places import Sdk

BOOTSTRAPS = ("source", "import", "none")


@dataclass(frozen=True)
class Request:
    """The options of a set-up, with default directories filled in.

    ``None`` or an empty tuple means that the option is not given; a continued set-up then
    keeps the value in its record.
    """

    name: str
    eprefix: str
    board: Board
    staging_dir: Path
    final_dir: Path
    overlays: tuple[Path, ...]
    scripts_dir: Path | None
    wrapper_dir: Path | None
    profile: str | None
    toolchain: str | None
    bootstrap: str
    with_gcc: bool
    first_stage: str | None
    last_stage: str | None


def check(
    sdk: Sdk,
    name: str,
    eprefix: str,
    *,
    board: str,
    staging_dir: Path | str | None,
    final_dir: Path | str | None,
    force: bool,
    overlays: Sequence[Path | str],
    scripts_dir: Path | None,
    wrapper_dir: Path | str | None,
    profile: str | None,
    toolchain: str | None,
    bootstrap: str,
    with_gcc: bool,
    first_stage: str | None,
    last_stage: str | None,
) -> Request:
    """Return the checked options; raise :class:`UsageError` for an invalid one."""
    bootstrapping.check_names(first_stage, last_stage)
    if bootstrap not in BOOTSTRAPS:
        raise UsageError(
            f"there is no bootstrap {bootstrap!r}", hint=f"Choose one of: {', '.join(BOOTSTRAPS)}."
        )
    check_name(name)
    the_board = board_of(board)
    staging = check_place(staging_dir or sdk.staging_dir(the_board, name), "staging")
    recorded = None if force else _recorded_final(staging)
    final = check_place(final_dir or recorded or sdk.final_dir(the_board, name), "final")
    if staging == final or staging in final.parents or final in staging.parents:
        raise UsageError(
            f"{staging} and {final} overlap",
            hint="Choose a --staging_dir and a --final_dir that do not contain each other.",
        )
    return Request(
        name=name,
        eprefix=check_eprefix(eprefix, directories=(staging, final)),
        board=the_board,
        staging_dir=staging,
        final_dir=final,
        overlays=tuple(Path(overlay).absolute() for overlay in overlays),
        scripts_dir=scripts_dir,
        wrapper_dir=Path(wrapper_dir).absolute() if wrapper_dir else None,
        profile=profile,
        toolchain=toolchain,
        bootstrap=bootstrap,
        with_gcc=with_gcc,
        first_stage=first_stage,
        last_stage=last_stage,
    )


def _recorded_final(staging: Path) -> Path | None:
    """Return the final directory of an existing prefix, if its record is readable."""
    try:
        return record.read(staging).final_dir
    except (OSError, PrefixError):
        return None


def check_place(place: Path | str, what: str) -> Path:
    """Return the absolute path of a directory that Portage can work in.

    Raise :class:`UsageError` for a path that make.conf or an ebuild cannot handle.
    """
    path = Path(os.path.abspath(place))
    text = os.fspath(path)
    odd = any(c.isspace() or c in ":\"'$`\\%#" for c in text) or not text.isprintable()
    if odd or len(path.parts) < 3:
        raise UsageError(
            f"the {what} directory {text!r} cannot be used",
            hint="Choose a directory below a top-level one, without white space, colon or quote.",
        )
    return path
