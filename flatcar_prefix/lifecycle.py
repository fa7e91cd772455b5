# SPDX-License-Identifier: BSD-3-Clause
"""The life of a prefix: set up, made anew, brought up to date.

Every step is recorded as done only after it is, so that the same command continues
after whatever interrupted it; wrappers come last, so that nobody finds one that leads
to half a prefix.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from flatcar_prefix import (
    bootstrap as bootstrapping,
    buildhost,
    configroot,
    depcache,
    makeconf,
    portage_api,
    prefix as prefixes,
    registry,
    removal,
    repositories as repos,
    sdk as sdks,
    toolchain as toolchains,
    wrappers,
)
from flatcar_prefix.boards import DEFAULT_BOARD, Board, board as board_of
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.guards import filesystem_errors, locked, locked_prefix
from flatcar_prefix.messages import QUIET, Quiet
from flatcar_prefix.prefix import Prefix

BOOTSTRAPS = ("source", "import", "none")


@dataclass(frozen=True)
class Request:
    """What is asked of :func:`setup`, with everything that has a default filled in."""

    name: str
    eprefix: str
    board: Board
    staging_dir: Path
    final_dir: Path
    overlays: tuple[Path, ...]
    wrapper_dir: Path
    profile: str | None
    toolchain: str | None
    bootstrap: str
    with_gcc: bool
    first_stage: str | None
    last_stage: str | None


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
    say: Quiet = QUIET,
) -> Prefix:
    """Create a prefix and return it; the arguments are the flags of ``setup_prefix``.

    One that was interrupted is continued. Raises :class:`PrefixError` for everything
    that stands in the way; of what the arguments alone show to be wrong, nothing was
    begun then. ``say`` is told of each step.
    """
    sdk = sdks.detect(scripts_dir=Path(scripts_dir).absolute() if scripts_dir else None)
    asked = _request(
        sdk, name, eprefix, board, staging_dir, final_dir, custom_ebuild_overlays,
        wrapper_dir, profile, toolchain, bootstrap, with_gcc, first_stage, last_stage,
    )  # fmt: skip
    portage_api.import_portage()
    with locked(sdk, asked.name, asked.board, asked.staging_dir, asked.final_dir):
        return _setup_locked(sdk, asked, force=force, say=say)


def _request(
    sdk: sdks.Sdk,
    name: str,
    eprefix: str,
    board: str,
    staging_dir: Path | str | None,
    final_dir: Path | str | None,
    overlays: Sequence[Path | str],
    wrapper_dir: Path | str | None,
    profile: str | None,
    toolchain: str | None,
    bootstrap: str,
    with_gcc: bool,
    first_stage: str | None,
    last_stage: str | None,
) -> Request:
    bootstrapping.check_names(first_stage, last_stage)
    if bootstrap not in BOOTSTRAPS:
        raise UsageError(
            f"there is no bootstrap {bootstrap!r}", hint=f"Choose: {', '.join(BOOTSTRAPS)}."
        )
    prefixes.check_name(name)
    the_board = board_of(board)
    staging = check_place(staging_dir or sdk.staging_dir(the_board, name), "staging")
    final = check_place(final_dir or sdk.final_dir(the_board, name), "final")
    if staging == final or staging in final.parents or final in staging.parents:
        raise UsageError(
            f"{staging} and {final} lie inside each other",
            hint="Give --staging_dir and --final_dir that have nothing in common.",
        )
    return Request(
        name=name,
        eprefix=prefixes.check_eprefix(eprefix, directories=(staging, final)),
        board=the_board,
        staging_dir=staging,
        final_dir=final,
        overlays=tuple(Path(overlay).absolute() for overlay in overlays),
        wrapper_dir=Path(wrapper_dir or sdk.wrapper_dir).absolute(),
        profile=profile,
        toolchain=toolchain,
        bootstrap=bootstrap,
        with_gcc=with_gcc,
        first_stage=first_stage,
        last_stage=last_stage,
    )


def check_place(place: Path | str, what: str) -> Path:
    """Return the absolute path of a directory that Portage can work in.

    :class:`UsageError` for a path that make.conf or an ebuild would not survive.
    """
    path = Path(os.path.abspath(place))
    text = os.fspath(path)
    odd = any(c.isspace() or c in ":\"'$`\\%#" for c in text) or not text.isprintable()
    if odd or len(path.parts) < 3:
        raise UsageError(
            f"the {what} directory {text!r} cannot be used",
            hint="Give a directory below a top-level one, without white space, colon or quote.",
        )
    return path


def _setup_locked(sdk: sdks.Sdk, asked: Request, *, force: bool, say: Quiet) -> Prefix:
    planned = None
    if force:
        planned = _plan(sdk, asked)  # what is wrong with it shows before anything is removed
        bootstrapping.check_first(planned, asked.first_stage)
        _remove_old(asked, say)
    old = _existing(asked)
    prefix = old or planned or _plan(sdk, asked)
    if not prefix.complete:
        bootstrapping.check_first(prefix, asked.first_stage)
    with filesystem_errors(prefix.staging_dir):
        if old is None:
            say(f"toolchain: {prefix.toolchain.kind}, {prefix.toolchain.version}")
            _begin(sdk, prefix, say)
        else:
            say(f"continuing the set-up of {prefix.id}")
        if not prefix.complete:
            if old is not None:
                configure(prefix, say=say)
            _warm_cache(prefix, say)
            prefix = bootstrapping.bootstrap(
                prefix, say=say, first=asked.first_stage, until=asked.last_stage
            )
            if not bootstrapping.is_complete(prefix):
                return prefix
            prefix = prefixes.write(replace(prefix, complete=True))
        wrappers.generate(prefix)
    return prefix


def _begin(sdk: sdks.Sdk, prefix: Prefix, say: Quiet) -> None:
    """Write the record and the configuration; where that cannot be, leave nothing behind."""
    places = (prefix.staging_dir, prefix.final_dir)
    missing = {path for place in places for path in place.parents if not path.exists()}
    try:
        with filesystem_errors(prefix.staging_dir):
            _create(sdk, prefix)
            configure(prefix, say=say)
    except Exception:  # a fault of this program's leaves no half prefix behind either
        with suppress(PrefixError):
            removal.remove(prefix)
        for path in sorted(missing, reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise


def _found_again(prefix: Prefix) -> Prefix:
    """Return the prefix with the repositories that its checkout has by now."""
    sdk = sdks.detect(scripts_dir=Path(prefix.scripts_dir) if prefix.scripts_dir else None)
    found, main = repos.find(sdk.scripts_dir)
    top = repos.PREFIX_OVERLAY_PRIORITY
    custom = [r.location for r in prefix.repositories if (r.priority or 0) > top]
    found = repos.add_overlays(found, main, custom)
    return replace(
        prefix, repositories=found, main_repo=main, scripts_dir=os.fspath(sdk.scripts_dir)
    )


def _warm_cache(prefix: Prefix, say: Quiet) -> None:
    """Make the metadata cache before a bootstrap that would do so one by one."""
    if prefix.bootstrap != bootstrapping.NO_PACKAGES and depcache.is_cold(prefix):
        say("warming the metadata cache, once for all prefixes")
        depcache.warm(prefix, jobs=jobs(), say=say)


def update(
    prefix: Prefix, *, first: str | None = None, until: str | None = None, say: Quiet = QUIET
) -> Prefix:
    """Bring an existing prefix up to date: its configuration, then stage after stage.

    Returns the prefix as it is then; :class:`BuildError` when a stage fails.
    """
    bootstrapping.check_names(first, until)
    with locked_prefix(prefix), filesystem_errors(prefix.staging_dir):
        start = first or bootstrapping.STAGES[0].name
        bootstrapping.check_first(prefix, start)
        prefix = prefixes.write(_found_again(prefix))
        configure(prefix, say=say)
        prefix = bootstrapping.bootstrap(prefix, say=say, first=start, until=until, update=True)
        if bootstrapping.is_complete(prefix):
            prefix = prefixes.write(replace(prefix, complete=True))
            wrappers.generate(prefix)
        return prefix


def _remove_old(asked: Request, say: Quiet) -> None:
    for directory in (asked.staging_dir, asked.final_dir):
        if _occupied(directory) and not _is_own(asked, directory):
            raise PrefixError(
                f"{directory} exists and is no prefix of this program's{removal.whose(directory)}",
                hint="Remove it yourself, or name another directory.",
            )
    if (asked.staging_dir / prefixes.RECORD_NAME).exists():
        removal.remove(prefixes.read(asked.staging_dir), say=say)


def _is_own(asked: Request, directory: Path) -> bool:
    if (asked.staging_dir / prefixes.RECORD_NAME).is_file():
        return directory in (asked.staging_dir, prefixes.read(asked.staging_dir).final_dir)
    return False


def _occupied(directory: Path) -> bool:
    """Return whether something is there that is more than a record that was being written."""
    if directory.is_symlink() or not directory.is_dir():
        return os.path.lexists(directory)
    return any(path.name != f".{prefixes.RECORD_NAME}.new" for path in directory.iterdir())


def _existing(asked: Request) -> Prefix | None:
    """Return the unfinished prefix to go on with, or None when there is none at all.

    :class:`PrefixError` when what is there is something else.
    """
    if (asked.staging_dir / prefixes.RECORD_NAME).is_file():
        old = prefixes.read(asked.staging_dir)
        same = (old.name, old.eprefix, old.board, old.final_dir, old.bootstrap) == (
            asked.name, asked.eprefix, asked.board, asked.final_dir, asked.bootstrap,
        )  # fmt: skip
        if same and (not old.complete or wrappers.missing(old)):
            return old
        raise PrefixError(
            f"the prefix {old.id} exists already, at {old.eprefix} in {old.staging_dir}",
            hint=f"To bring it up to date: flatcar-prefix update {old.id}; to remove it and make"
            " it anew: --force.",
        )
    for directory in (asked.staging_dir, asked.final_dir):
        if _occupied(directory):
            raise PrefixError(
                f"{directory} exists already{removal.whose(directory)}",
                hint="Remove it, or name another by --staging_dir and --final_dir.",
            )
    return None


def _plan(sdk: sdks.Sdk, asked: Request) -> Prefix:
    """Return the prefix that is going to be; nothing is written yet."""
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
        profile=repos.choose_profile(found, main, asked.board, asked.profile),
        bootstrap=asked.bootstrap,
        scripts_dir=os.fspath(sdk.scripts_dir),
        with_gcc=asked.with_gcc,
        native_host=buildhost.is_gentoo(),
        username=sdk.username,
        groupname=sdk.groupname,
        wrapper_dir=asked.wrapper_dir,
        created=time.time(),
    )
    _refuse_unspellable(prefix)
    return prefix


def _refuse_unspellable(prefix: Prefix) -> None:
    """Raise :class:`UsageError` for a place that make.conf cannot name."""
    try:
        for root in (prefix.staging, prefix.final):
            makeconf.make_conf(root, jobs=jobs(), launcher=sdks.launch()).encode()
    except ValueError as error:
        raise UsageError(str(error), hint="Name a directory of letters that print.") from error


def _create(sdk: sdks.Sdk, prefix: Prefix) -> None:
    """Write the record, so that from here on the prefix can be continued or removed."""
    with filesystem_errors(prefix.staging_dir):
        prefix.staging_dir.mkdir(parents=True, exist_ok=True)
        prefixes.write(prefix)
        if prefix.staging_dir != sdk.staging_dir(prefix.board, prefix.name):
            registry.remember(sdk, prefix)


def jobs() -> int:
    """Return how many processes this machine runs at once."""
    return len(os.sched_getaffinity(0))


def configure(prefix: Prefix, *, say: Quiet = QUIET) -> None:
    """Write the configuration roots and the tools of a prefix, and check them through Portage.

    The user's own files there stay.
    """
    if portage_api.newer_than_known(version := portage_api.version()):
        say.warn(f"Portage {version} is newer than {portage_api.NEWEST_KNOWN}, the newest known")
    say("writing the configuration roots")
    features = configroot.features(prefix)
    launcher = sdks.launch()
    toolchains.write_tools(prefix)
    buildhost.write(prefix, features=features)
    for root in (prefix.staging, prefix.final):
        configroot.write(root, jobs=jobs(), launcher=launcher, features=features)
        configroot.check(root)
