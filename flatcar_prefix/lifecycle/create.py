# SPDX-License-Identifier: BSD-3-Clause
"""Create a prefix, continue one, or recreate one with --force.

Each step is recorded only after it is done, so the same command continues after an
interruption. Wrappers come last, so each wrapper leads to a complete prefix.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.boards import DEFAULT_BOARD
from flatcar_prefix.config import build_host, make_conf
from flatcar_prefix.config.root import missing_features, write_config
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.lifecycle import existing, request, stages as bootstrapping, uninstall
from flatcar_prefix.lifecycle.configure import configure, jobs, reconfigure
from flatcar_prefix.lifecycle.request import Request
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix import record, registry
from flatcar_prefix.prefix.locks import locked
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.repositories import find as repos, metadata_cache
from flatcar_prefix.repositories.profiles import choose_profile
from flatcar_prefix.system.files import filesystem_errors
from flatcar_prefix.system.messages import NO_PROGRESS, Progress
from flatcar_prefix.system.places import Sdk, detect_sdk
from flatcar_prefix.system.python import hidden_from_others, launch
from flatcar_prefix.toolchain import find as toolchains
from flatcar_prefix.wrappers import files


def setup(
    name: str,
    eprefix: str,
    *,
    board: str = DEFAULT_BOARD,
    staging_dir: Path | str | None = None,
    final_dir: Path | str | None = None,
    force: bool = False,
    custom_ebuild_overlays: Sequence[Path | str] = (),
    scripts_dir: Path | str | None = None,
    wrapper_dir: Path | str | None = None,
    profile: str | None = None,
    toolchain: str | None = None,
    bootstrap: str = "source",
    with_gcc: bool = False,
    first_stage: str | None = None,
    last_stage: str | None = None,
    say: Progress = NO_PROGRESS,
) -> Prefix:
    """Create a prefix and return it; the arguments are the flags of ``setup_prefix``.

    Continue an interrupted set-up. Raise :class:`PrefixError` if the prefix cannot be
    created; invalid arguments raise it before any work starts. ``say`` receives each step.
    """
    sdk = detect_sdk(scripts_dir=Path(scripts_dir).absolute() if scripts_dir else None)
    asked = request.check(
        sdk, name, eprefix, board=board, staging_dir=staging_dir, final_dir=final_dir, force=force,
        overlays=custom_ebuild_overlays, scripts_dir=sdk.scripts_dir if scripts_dir else None,
        wrapper_dir=wrapper_dir, profile=profile, toolchain=toolchain, bootstrap=bootstrap,
        with_gcc=with_gcc, first_stage=first_stage, last_stage=last_stage,
    )  # fmt: skip
    portage_api.import_portage()
    with locked(sdk, asked.name, asked.board, asked.staging_dir, asked.final_dir):
        return _setup_locked(sdk, asked, force=force, say=say)


def _setup_locked(sdk: Sdk, asked: Request, *, force: bool, say: Progress) -> Prefix:
    # Check everything before removing or creating anything.
    before = existing.replaceable(asked) if force else ()
    old = None if force else existing.unfinished(asked)
    prefix = existing.continued(old, asked) if old else _plan(sdk, asked)
    if not prefix.complete:
        bootstrapping.check_first(prefix, asked.first_stage)
    files.refuse_blocked(prefix, instead_of=before)
    for gone in before:
        uninstall.remove(gone, say=say)
    with filesystem_errors(prefix.staging_dir):
        if old is None:
            say(f"toolchain: {prefix.toolchain.kind}, {prefix.toolchain.version}")
            _begin(sdk, prefix, say)
        else:
            say(f"continuing the set-up of {prefix.id}")
            _go_on(old, prefix, say)
        if not prefix.complete:
            _warm_cache(prefix, say)
            prefix = bootstrapping.bootstrap(
                prefix, say=say, first=asked.first_stage, until=asked.last_stage
            )
            if not bootstrapping.is_complete(prefix):
                return prefix
        prefix = finish(prefix)
    if os.geteuid() == 0 and (hidden := hidden_from_others()):
        say.warn(f"other users cannot reach python: {hidden} is not searchable")
    return prefix


def _go_on(old: Prefix, prefix: Prefix, say: Progress) -> None:
    """Write the configuration again, including the differences between both."""
    if prefix.wrapper_dir != old.wrapper_dir:
        for path in files.remove(old):
            say(f"removed {path}")
    if prefix != old:
        reconfigure(old, prefix, say=say)
    elif not prefix.complete:
        configure(prefix, say=say)


def finish(prefix: Prefix) -> Prefix:
    """Record that the prefix is complete, then create its wrappers.

    The record comes first, so a prefix with a wrapper is always complete. After a kill in
    between, the same command finds that wrappers are missing and continues. If it cannot
    create them, the prefix stays incomplete, and the user can choose another directory.
    """
    done = record.write(replace(prefix, complete=True))
    try:
        files.generate(done)
    except Exception:
        if not prefix.complete:
            with suppress(OSError):
                for _ in files.remove(done):
                    pass
                record.write(prefix)
        raise
    return done


def _begin(sdk: Sdk, prefix: Prefix, say: Progress) -> None:
    """Write the record and the configuration; remove both if that fails."""
    places = (prefix.staging_dir, prefix.final_dir)
    missing = {path for place in places for path in place.parents if not path.exists()}
    try:
        with filesystem_errors(prefix.staging_dir):
            _create(sdk, prefix)
            configure(prefix, say=say)
    except Exception:  # also after a bug in this program
        with suppress(PrefixError):
            uninstall.remove(prefix)
        for path in sorted(missing, reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise


def _warm_cache(prefix: Prefix, say: Progress) -> None:
    """Warm the metadata cache in parallel before the bootstrap needs it."""
    if prefix.bootstrap != bootstrapping.NO_PACKAGES and metadata_cache.is_cold(prefix):
        say("warming the metadata cache, once for all prefixes")
        metadata_cache.warm(prefix, jobs=jobs(), say=say)


def _plan(sdk: Sdk, asked: Request) -> Prefix:
    """Return the planned prefix; write nothing."""
    found, main = repos.find(sdk.scripts_dir)
    found = repos.add_overlays(found, main, asked.overlays)
    prefix = Prefix(
        name=asked.name,
        eprefix=asked.eprefix,
        board=asked.board,
        staging_dir=asked.staging_dir,
        final_dir=asked.final_dir,
        repositories=found,
        main_repo=main,
        distdir=sdk.distdir,
        depcachedir=sdk.depcachedir,
        toolchain=toolchains.find(asked.board, asked.toolchain),
        profile=choose_profile(found, main, asked.board, asked.profile),
        bootstrap=asked.bootstrap,
        scripts_dir=os.fspath(sdk.scripts_dir),
        with_gcc=asked.with_gcc,
        native_host=build_host.is_gentoo(),
        username=sdk.username,
        groupname=sdk.groupname,
        wrapper_dir=asked.wrapper_dir or sdk.wrapper_dir.absolute(),
        created=time.time(),
    )
    _refuse_unspellable(prefix)
    if prefix.with_gcc:
        _check_compiler(prefix)
    return prefix


def _refuse_unspellable(prefix: Prefix) -> None:
    """Raise :class:`UsageError` for a path that make.conf cannot hold."""
    try:
        for root in (prefix.staging, prefix.final):
            make_conf.make_conf(root, jobs=jobs(), launcher=launch()).encode()
    except ValueError as error:
        raise UsageError(
            str(error), hint="Choose a path with printable characters only."
        ) from error


def _check_compiler(prefix: Prefix) -> None:
    """Raise :class:`PrefixError` if the repositories have no compiler for ``--with-gcc``.

    Keywords and masks count, so Portage makes the check with a temporary configuration.
    """
    with tempfile.TemporaryDirectory(prefix="flatcar-prefix-") as directory:
        here = Path(directory)
        trial = replace(
            prefix,
            staging_dir=here / "staging",
            final_dir=here / "final",
            distdir=here / "distfiles",
            depcachedir=here / "depcache",
        )
        features = missing_features(trial)
        build_host.write(trial, features=features)
        write_config(trial.staging, jobs=1, launcher=launch(), features=features)
        portdb = trial.staging.portdb
        found = portdb.xmatch("bestmatch-visible", bootstrapping.GCC)
        portdb.close_caches()
    if not found:
        raise PrefixError(
            f"--with-gcc needs {bootstrapping.GCC}, but no repository has an unmasked version",
            hint="Omit --with-gcc, or choose a checkout with --scripts_dir or an overlay with"
            " --custom_ebuild_overlays that has one.",
        )


def _create(sdk: Sdk, prefix: Prefix) -> None:
    """Write the record, which allows the user to continue or remove the prefix."""
    with filesystem_errors(prefix.staging_dir):
        prefix.staging_dir.mkdir(parents=True, exist_ok=True)
        record.write(prefix)
        if prefix.staging_dir != sdk.staging_dir(prefix.board, prefix.name):
            registry.remember(sdk, prefix)
