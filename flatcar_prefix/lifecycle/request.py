# SPDX-License-Identifier: BSD-3-Clause
"""The request for a prefix: the options of a set-up, and their check before any work starts."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import update_wrapper
from pathlib import Path
from types import UnionType
from typing import ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from flatcar_prefix.boards import DEFAULT_BOARD, Board, board as board_of
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.lifecycle import stages as bootstrapping
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.names import check_directory, check_eprefix, check_name
from flatcar_prefix.prefix.record import BOOTSTRAPS
from flatcar_prefix.relocate.eprefix import pool_eprefix
from flatcar_prefix.system.places import Sdk
from flatcar_prefix.system.progress import NO_PROGRESS, Progress
from flatcar_prefix.system.trees import overlap

LOCALE = r"[a-z]{2,3}(?:_[A-Z]{2})?\.[A-Za-z0-9-]+(?:@[a-z]+)?"


@dataclass(frozen=True)
class _Positional:
    """The arguments that need no keyword.

    A base class, because ``get_type_hints`` of Python 3.10 rejects ``dataclasses.KW_ONLY``.
    """

    name: str
    eprefix: Path | str = ""
    """The path of the prefix; only a pool has a default."""


@dataclass(frozen=True, kw_only=True)
class Request(_Positional):
    """The arguments of :func:`flatcar_prefix.setup`, which are the flags of ``setup_prefix``.

    This class is the only list of them: the command line and the Python interface take its
    fields. ``None``, ``False`` or an empty sequence means that the option is not given; a
    continued set-up then keeps the value in its record.
    """

    board: str | Board = DEFAULT_BOARD
    staging_dir: Path | str | None = None
    final_dir: Path | str | None = None
    force: bool = False
    custom_ebuild_overlays: Sequence[Path | str] = ()
    scripts_dir: Path | str | None = None
    wrapper_dir: Path | str | None = None
    profile: str | None = None
    toolchain: str | None = None
    bootstrap: str = "source"
    with_gcc: bool = False
    locales: Sequence[str] = ()
    unconfined: bool = False
    binhost: Sequence[str] | None = None
    """URLs, directories and pools; ``["none"]`` for none. ``None`` chooses a fitting pool of this
    machine."""
    binhost_key: Sequence[Path | str] = ()
    """Files of public keys; ``["none"]`` does not verify packages."""
    pool: bool = False
    pool_key: str | None = None
    """A secret key of the caller's keyring; ``none`` does not sign; ``None`` makes a key."""
    first_stage: str | None = None
    last_stage: str | None = None
    say: Progress | Callable[[str], object] = field(default=NO_PROGRESS, compare=False)


_Fields = ParamSpec("_Fields")
_Result = TypeVar("_Result")


def _taking(
    request: Callable[_Fields, Request],
) -> Callable[[Callable[[Request], _Result]], Callable[_Fields, _Result]]:
    signature = inspect.signature(request)

    def decorate(function: Callable[[Request], _Result]) -> Callable[_Fields, _Result]:
        def with_fields(*args: _Fields.args, **fields: _Fields.kwargs) -> _Result:
            signature.bind(*args, **fields)
            return function(request(*args, **fields))

        update_wrapper(with_fields, function)
        returns = inspect.signature(function).return_annotation
        shown = signature.replace(return_annotation=returns)
        with_fields.__signature__ = shown  # type: ignore[attr-defined]
        return with_fields

    return decorate


takes_fields = _taking(Request)
"""Decorate a function of a request: callers give the fields, which type checkers know."""


@dataclass(frozen=True)
class Checked:
    """A request whose options are valid, with its directories filled in."""

    request: Request
    eprefix: str
    board: Board
    staging_dir: Path
    final_dir: Path
    overlays: tuple[Path, ...]
    wrapper_dir: Path | None

    @property
    def name(self) -> str:
        """The name of the prefix."""
        return self.request.name


def check_types(request: Request) -> None:
    """Raise :class:`UsageError` for a field that has a value of another type than it declares."""
    _overlays(request)
    hints = get_type_hints(Request)
    for each in fields(Request):
        kinds = get_args(hints[each.name]) or (hints[each.name],)
        if get_origin(hints[each.name]) not in (Union, UnionType):
            kinds = (hints[each.name],)
        classes = tuple(get_origin(kind) or kind for kind in kinds)
        value = getattr(request, each.name)
        if Sequence in classes and isinstance(value, (str, Path)):
            continue  # other checks refuse one path in place of a list
        if not isinstance(value, classes):
            raise UsageError(
                f"{each.name} is {value!r}, which is not"
                f" {' or '.join(sorted(_word(one) for one in classes))}",
                hint=f"Correct {each.name}.",
            )


def _word(kind: type) -> str:
    words = {str: "a text", bool: "True or False", type(None): "None", Path: "a path"}
    return words.get(kind, f"a {kind.__name__}")


def check(request: Request, sdk: Sdk) -> Checked:
    """Return the checked request; raise :class:`UsageError` for an invalid option."""
    bootstrapping.check_names(request.first_stage, request.last_stage)
    if request.bootstrap not in BOOTSTRAPS:
        raise UsageError(
            f"unknown bootstrap {request.bootstrap!r}",
            hint=f"Choose one of: {', '.join(BOOTSTRAPS)}.",
        )
    _check_pool(request)
    check_name(request.name)
    _check_locales(request)
    board = board_of(request.board)
    staging = check_place(request.staging_dir or sdk.staging_dir(board, request.name), "staging")
    recorded = None if request.force else _recorded_final(staging)
    final = check_place(
        request.final_dir or recorded or sdk.final_dir(board, request.name), "final"
    )
    if overlap(staging, final):
        raise UsageError(
            f"{staging} and {final} overlap",
            hint="Choose a --staging-dir and a --final-dir that do not contain each other.",
        )
    return Checked(
        request=request,
        eprefix=check_eprefix(_eprefix(request), directories=(staging, final)),
        board=board,
        staging_dir=staging,
        final_dir=final,
        overlays=tuple(Path(overlay).absolute() for overlay in _overlays(request)),
        wrapper_dir=Path(request.wrapper_dir).absolute() if request.wrapper_dir else None,
    )


def _eprefix(request: Request) -> str:
    """Return the requested path; a pool may leave it out."""
    return os.fspath(request.eprefix) or (pool_eprefix(request.name) if request.pool else "")


def _check_pool(request: Request) -> None:
    """Raise :class:`UsageError` for options that do not fit a pool, or fit only a pool."""
    if request.pool_key is not None and not request.pool:
        raise UsageError("--pool-key is for pools only", hint="Add --pool, or omit --pool-key.")
    for flag, value in (("--binhost", request.binhost), ("--binhost-key", request.binhost_key)):
        if isinstance(value, (str, Path)):
            raise UsageError(f"{flag[2:]} is one text, not a list", hint="Give a list.")
    if (
        request.pool
        and request.eprefix
        and os.fspath(request.eprefix) != pool_eprefix(request.name)
    ):
        raise UsageError(
            f"the path of the pool {request.name} is {pool_eprefix(request.name)}, not"
            f" {request.eprefix}",
            hint=f"Omit {request.eprefix}: a pool gets a path that its packages can be moved from.",
        )


def _check_locales(request: Request) -> None:
    """Raise :class:`UsageError` for locales that no C library of the prefix can have."""
    for locale in _list("locales", request.locales):
        if not re.fullmatch(LOCALE, os.fspath(locale)):
            raise UsageError(
                f"{os.fspath(locale)!r} is not a locale with a character set",
                hint="Give names such as de_DE.UTF-8,sr_RS.UTF-8@latin.",
            )
    if request.locales and request.bootstrap == "import":
        raise UsageError(
            "an imported C library reads the locales of the machine that it runs on",
            hint="Omit --locales, or use --bootstrap=source.",
        )


def _overlays(request: Request) -> Sequence[Path | str]:
    """Return the overlays of a request; refuse a single string, which is a sequence, too."""
    return _list("custom_ebuild_overlays", request.custom_ebuild_overlays)


def _list(name: str, values: Sequence[Path | str]) -> Sequence[Path | str]:
    if isinstance(values, (str, Path)):
        raise UsageError(
            f"{name} is one value, {os.fspath(values)!r}, not a list", hint="Give a list."
        )
    return values


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
    try:
        return check_directory(path)
    except UsageError as error:
        raise UsageError(
            f"the {what} directory {os.fspath(path)!r} cannot be used", hint=error.hint
        ) from None
