# SPDX-License-Identifier: BSD-3-Clause
"""Create a prefix, continue one, or recreate one with --force.

Each step is recorded only after it is done, so the same command continues after an
interruption. Wrappers come last, so each wrapper leads to a complete prefix.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.binhost import keyring, where
from flatcar_prefix.config import build_host, make_conf
from flatcar_prefix.config.root import missing_features, write_config
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.lifecycle import (
    binhosts,
    existing,
    own_libc,
    shipping,
    stages as bootstrapping,
    uninstall,
)
from flatcar_prefix.lifecycle.configure import configure, jobs, reconfigure
from flatcar_prefix.lifecycle.continuing import continued
from flatcar_prefix.lifecycle.request import Checked, Request, check, check_types, takes_fields
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix import markers, record, registry
from flatcar_prefix.prefix.leftovers import sweep
from flatcar_prefix.prefix.locks import PATIENCE, flocked, locked
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.repositories import find as repos, metadata_cache
from flatcar_prefix.repositories.profiles import choose_profile
from flatcar_prefix.sandbox import confinement
from flatcar_prefix.system import distribution, programs
from flatcar_prefix.system.files import filesystem_errors, sweep_temporaries, usual_modes
from flatcar_prefix.system.places import Sdk, detect_sdk
from flatcar_prefix.system.progress import Progress, as_progress
from flatcar_prefix.system.python import hidden_from_others, launch
from flatcar_prefix.system.users import build_user
from flatcar_prefix.system.work_dirs import temporary
from flatcar_prefix.toolchain import find as toolchains
from flatcar_prefix.wrappers import files


@takes_fields
@usual_modes()
def setup(request: Request) -> Prefix:
    """Create a prefix and return it; the arguments are the fields of :class:`Request`.

    Continue an interrupted set-up; return a finished prefix unchanged. Raise
    :class:`PrefixError` if the prefix cannot be created; invalid arguments raise it before any
    work starts. ``say`` receives each step.
    """
    check_types(request)
    scripts = request.scripts_dir
    sdk = detect_sdk(scripts_dir=Path(scripts).absolute() if scripts else None)
    asked = check(request, sdk)
    portage_api.import_portage()
    with (
        locked(sdk, asked.name, asked.board, asked.staging_dir, asked.final_dir),
        flocked(
            asked.staging_dir, f"{asked.name}-{asked.board.name}", alone=True, patience=PATIENCE
        ),
    ):
        return _setup_locked(sdk, asked, as_progress(request.say))


def _setup_locked(sdk: Sdk, asked: Checked, say: Progress) -> Prefix:
    # Check everything before removing or creating anything.
    request = asked.request
    before = existing.replaceable(asked) if request.force else ()
    old = None if request.force else existing.wanted(asked)
    if old and existing.is_finished(old) and old.is_current:
        say("the set-up is complete; nothing to do")
        return old
    prefix, choice = continued(old, asked) if old else _plan(sdk, asked)
    if not prefix.complete:
        bootstrapping.check_first(prefix, request.first_stage)
    files.refuse_blocked(prefix, instead_of=before)
    for gone in before:
        with flocked(gone.staging_dir, gone.id, alone=True, patience=PATIENCE):
            uninstall.remove(gone, say=say)
    with filesystem_errors(prefix.staging_dir):
        if old is None:
            say(f"toolchain: {prefix.toolchain.kind}, {prefix.toolchain.version}")
            prefix = _begin(prefix, choice, say)
        else:
            say(f"continuing the set-up of {prefix.id}")
            prefix = _go_on(old, choice.trust(prefix), say)
        _tell_confinement(prefix, say)
        _tell_binhosts(prefix, say)
        shipping.tell(prefix, say)
        if not prefix.complete:
            _warm_cache(prefix, say)
            prefix = own_libc.decide(prefix, say=say)
            prefix = bootstrapping.bootstrap(
                prefix, say=say, first=request.first_stage, until=request.last_stage
            )
            if not bootstrapping.is_complete(prefix):
                return prefix
        prefix = finish(prefix)
    if os.geteuid() == 0 and (hidden := hidden_from_others()):
        say.warn(f"other users cannot reach python: {hidden} is not searchable")
    return prefix


def _go_on(old: Prefix, prefix: Prefix, say: Progress) -> Prefix:
    """Write the configuration again, including the differences between both."""
    sweep(prefix)
    prefix = markers.claim(prefix)
    if prefix.wrapper_dir != old.wrapper_dir:
        for path in files.remove(old):
            say(f"removed {path}")
    registry.remember(prefix)
    if prefix != old:
        return reconfigure(old, prefix, say=say)
    if not prefix.complete or not prefix.is_current:
        record.write(prefix)
        configure(prefix, say=say)
    return prefix


@usual_modes()
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


def _begin(prefix: Prefix, choice: binhosts.Choice, say: Progress) -> Prefix:
    """Write the markers, the record and the configuration; remove them if that fails."""
    kept = markers.existing(("staging", prefix.staging_dir), ("final", prefix.final_dir))
    prefix = replace(prefix, identity=markers.new_identity(), kept=kept)
    places = (prefix.staging_dir, prefix.final_dir)
    missing = {path for place in places for path in place.parents if not path.exists()}
    try:
        with filesystem_errors(prefix.staging_dir):
            _create(prefix)
            prefix = record.write(_make_key(choice.trust(prefix)))
            configure(prefix, say=say)
            return prefix
    except Exception:  # also after a bug in this program
        with suppress(PrefixError):
            uninstall.remove(prefix)
        for path in sorted(missing, reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise


def _make_key(prefix: Prefix) -> Prefix:
    """Make the signing key of a pool, unless the user has named one; publish its public key."""
    if not prefix.pool or prefix.signing_key == binhosts.NONE:
        return replace(prefix, signing_key="")
    home = Path(prefix.signing_home) if prefix.signing_home else prefix.own_signing_home
    key = prefix.signing_key or keyring.make(home, f"flatcar-prefix pool {prefix.id}")
    public = prefix.staging.pkgdir / where.KEY_FILE
    public.parent.mkdir(parents=True, exist_ok=True)
    keyring.export(home, key, public)
    # A pool installs its own packages, too.
    keyring.install(prefix.keyring_dir, [public])
    return replace(prefix, signing_key=key)


def _tell_binhosts(prefix: Prefix, say: Progress) -> None:
    if prefix.binhosts:
        names = ", ".join(one.pool or one.uri for one in prefix.binhosts)
        say(f"packages that fit come from {names} (--binhost=none builds everything)")
    if prefix.signing_key:
        say(f"packages are signed with the key {prefix.signing_key}")


def _tell_confinement(prefix: Prefix, say: Progress) -> None:
    how = confinement.describe(prefix)
    if how.startswith("not confined"):
        say.warn(f"builds are {how}; they can write to the whole machine")
    else:
        say(f"builds are {how}")


def _warm_cache(prefix: Prefix, say: Progress) -> None:
    """Warm the metadata cache in parallel before the bootstrap needs it."""
    if prefix.bootstrap != bootstrapping.NO_PACKAGES and metadata_cache.is_cold(prefix):
        say("warming the metadata cache, once for all prefixes")
        with confinement.confined(prefix):
            metadata_cache.warm(prefix, jobs=jobs(), say=say)


def _plan(sdk: Sdk, asked: Checked) -> tuple[Prefix, binhosts.Choice]:
    """Return the planned prefix and its binhosts; write nothing."""
    request = asked.request
    found, main = repos.find(sdk.scripts_dir)
    found = repos.add_overlays(found, main, asked.overlays)
    places = (asked.staging_dir, asked.final_dir, sdk.distdir, *(r.location for r in found))
    user, group = build_user(reaches_builds=hidden_from_others(*places) is None)
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
        toolchain=toolchains.find(asked.board, request.toolchain),
        profile=choose_profile(found, main, asked.board, request.profile),
        bootstrap=request.bootstrap,
        scripts_dir=os.fspath(sdk.scripts_dir),
        with_gcc=request.with_gcc,
        locales=tuple(request.locales),
        confined=not request.unconfined,
        native_host=build_host.is_gentoo(),
        username=user,
        groupname=group,
        wrapper_dir=asked.wrapper_dir or sdk.wrapper_dir.absolute(),
        created=time.time(),
        pool=request.pool,
        signing_key=request.pool_key or "",
    )
    if prefix.pool and prefix.signing_key not in ("", binhosts.NONE):
        key, home = keyring.named(prefix.signing_key)
        prefix = replace(prefix, signing_key=key, signing_home=os.fspath(home))
    _refuse_unspellable(prefix)
    _refuse_missing_programs(prefix)
    choice = binhosts.requested(prefix, request.binhost, request.binhost_key)
    prefix = choice.applied(prefix)
    if prefix.with_gcc:
        _check_compiler(prefix)
    return prefix, choice


def _refuse_missing_programs(prefix: Prefix) -> None:
    """Raise :class:`PrefixError` if this machine lacks programs that the bootstrap needs.

    Portage builds them for a Gentoo build host, and for a checkout that has their packages.
    """
    embedded = next(r for r in prefix.repositories if r.name == prefix.main_repo).embedded
    if prefix.native_host or not embedded or prefix.bootstrap == bootstrapping.NO_PACKAGES:
        return
    if missing := programs.missing(prefix.bootstrap):
        names = " ".join(dict.fromkeys(program.debian for program in missing))
        gentoo = " ".join(dict.fromkeys(program.gentoo for program in missing))
        raise PrefixError(
            f"--bootstrap={prefix.bootstrap} needs programs that are not installed:"
            f" {', '.join(program.name for program in missing)}",
            hint=f"Install them: {distribution.install(names, gentoo)}",
        )


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
    with temporary() as here:
        trial = replace(
            prefix,
            staging_dir=here / "staging",
            final_dir=here / "final",
            distdir=here / "distfiles",
            depcachedir=here / "depcache",
        )
        features = missing_features(trial)
        build_host.write(trial, features=features, launcher=launch())
        write_config(trial.staging, jobs=1, launcher=launch(), features=features)
        portdb = trial.staging.portdb
        found = portdb.xmatch("bestmatch-visible", bootstrapping.GCC)
        portdb.close_caches()
    if not found:
        raise PrefixError(
            f"--with-gcc needs {bootstrapping.GCC}, but no repository has an unmasked version",
            hint="Omit --with-gcc, or choose a checkout with --scripts-dir or an overlay with"
            " --custom-ebuild-overlays that has one.",
        )


def _create(prefix: Prefix) -> None:
    """Write the markers and the record; the user can continue or remove the prefix then."""
    with filesystem_errors(prefix.staging_dir):
        markers.write(prefix, "staging")
        record.write(prefix)
        registry.remember(prefix)
        markers.write(prefix, "final")
        for directory in (prefix.staging_dir, prefix.final_dir):
            sweep_temporaries(directory)
