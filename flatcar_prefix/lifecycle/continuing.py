# SPDX-License-Identifier: BSD-3-Clause
"""Continue an unfinished set-up with the options of another request."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle import binhosts
from flatcar_prefix.lifecycle.binhosts import Choice
from flatcar_prefix.lifecycle.request import Checked
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.repositories.profiles import choose_profile
from flatcar_prefix.toolchain import find as toolchains


def continued(old: Prefix, asked: Checked) -> tuple[Prefix, Choice]:
    """Return the prefix to continue, ``old`` with the options of this request, and its binhosts.

    Raise :class:`PrefixError` for an option that cannot change after the start.
    """
    _refuse_changed(old, asked)
    repositories = old.repositories
    if asked.overlays:
        own = [r for r in repositories if not repos.is_custom(r)]
        repositories = repos.add_overlays(own, old.main_repo, asked.overlays)
    profile = old.profile
    if asked.request.profile is not None:
        profile = choose_profile(repositories, old.main_repo, old.board, asked.request.profile)
    choice = Choice(old.binhosts, verify=old.verify_binhosts)
    if asked.request.binhost is not None:
        choice = binhosts.requested(old, asked.request.binhost, asked.request.binhost_key)
    prefix = replace(
        old,
        repositories=repositories,
        profile=profile,
        wrapper_dir=asked.wrapper_dir or old.wrapper_dir,
        confined=old.confined and not asked.request.unconfined,
    )
    return choice.applied(prefix), choice


def is_same(old: Prefix, asked: Checked, *, bootstrap: str | None = None) -> bool:
    """Return whether the request is about ``old``: its name, its final root and its C library.

    With ``bootstrap``, compare this kind of C library in place of the requested one.
    """
    return (old.name, old.eprefix, old.board, old.final_dir, old.bootstrap) == (
        asked.name,
        asked.eprefix,
        asked.board,
        asked.final_dir,
        bootstrap or asked.request.bootstrap,
    )


def is_as_asked(old: Prefix, asked: Checked) -> bool:
    """Return whether no option of the request differs from the finished prefix ``old``."""
    return not _is_fixed_otherwise(old, asked) and not changing(old, asked)


def changing(old: Prefix, asked: Checked) -> str:
    """Return what brings the finished prefix ``old`` nearer to the request, in words for a hint.

    Return an empty text if no option differs, or one that only --force changes.
    """
    if _is_fixed_otherwise(old, asked):
        return ""
    request = asked.request
    there = {os.path.realpath(r.location) for r in old.repositories if repos.is_custom(r)}
    if missing := [path for path in asked.overlays if os.path.realpath(path) not in there]:
        return _instead("overlays", old.id, "add", *missing)
    if asked.wrapper_dir not in (None, old.wrapper_dir):
        return _instead("wrappers", old.id, "--wrapper-dir", asked.wrapper_dir or "")
    if request.binhost is not None and not binhosts.are_those_of(old, request.binhost):
        if old.binhosts:
            return _command("binhost", old.id, "remove", *(b.name for b in old.binhosts)) + " first"
        keys = ",".join(os.fspath(key) for key in request.binhost_key)
        options = [f"--binhost-key={keys}"] if keys else []
        return _instead("binhost", old.id, "add", *request.binhost, *options)
    stages = (("--from", request.first_stage), ("--until", request.last_stage))
    if chosen := [f"{flag}={stage}" for flag, stage in stages if stage is not None]:
        return _instead("update", old.id, *chosen)
    return ""


def _command(*words: str | Path) -> str:
    return f"`{shlex.join(['flatcar-prefix', *(os.fspath(word) for word in words)])}`"


def _instead(*words: str | Path) -> str:
    return f"{_command(*words)} instead"


def _is_fixed_otherwise(old: Prefix, asked: Checked) -> bool:
    """Return whether an option differs that cannot change in the finished prefix ``old``."""
    request = asked.request
    return (
        any(_changed(old, asked).values())
        or (request.unconfined and old.confined)
        or (request.profile is not None and continued(old, asked)[0].profile != old.profile)
    )


def _changed(old: Prefix, asked: Checked) -> dict[str, bool]:
    """Return, by flag, whether an option differs that cannot change after the start."""
    was = toolchains.spelled(old.toolchain)
    return {
        "--scripts-dir": asked.request.scripts_dir is not None
        and os.path.realpath(asked.request.scripts_dir) != os.path.realpath(old.scripts_dir),
        "--toolchain": asked.request.toolchain is not None
        and not toolchains.is_as(was, asked.request.toolchain),
        "--with-gcc": asked.request.with_gcc and not old.with_gcc,
        "--pool": asked.request.pool and not old.pool,
        "--locales": bool(asked.request.locales) and tuple(asked.request.locales) != old.locales,
    }


def _refuse_changed(old: Prefix, asked: Checked) -> None:
    was = toolchains.spelled(old.toolchain)
    begun = {
        "--scripts-dir": old.scripts_dir,
        "--toolchain": was,
        "--with-gcc": "none",
        "--pool": "none",
        "--locales": ",".join(old.locales) or "none",
    }
    for flag, differs in _changed(old, asked).items():
        if differs:
            raise PrefixError(
                f"the set-up of {old.id} was begun with another {flag}: {begun[flag]}",
                hint=f"Omit {flag} to continue it, or recreate the prefix with --force.",
            )
