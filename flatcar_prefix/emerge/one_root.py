# SPDX-License-Identifier: BSD-3-Clause
"""One root's half of an emerge call, in this process.

This does what ``_emerge.main.emerge_main`` does for a process of its own, so that
Portage is imported once for both halves and that the second can know what the first
had planned.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.config import make_conf
from flatcar_prefix.emerge import which_roots
from flatcar_prefix.portage_api import depgraph, session as portage_api
from flatcar_prefix.portage_api.depgraph import Plan
from flatcar_prefix.prefix.model import Root


@dataclass(frozen=True)
class Failure:
    """A package that could not be built or installed."""

    cpv: str
    log: Path | None


@dataclass
class Half:
    """A loaded root and what emerge is to do in it."""

    root: Root
    config: Any
    """``_emerge.actions._emerge_config``."""
    plan: Plan | None = None
    """What the last run had planned, or None when it came to none."""
    scheduler: Any = None
    """What has carried it out, a ``_emerge.Scheduler.Scheduler``, or None."""

    @property
    def opts(self) -> dict[str, Any]:
        return self.config.opts  # type: ignore[no-any-return]

    @property
    def action(self) -> str | None:
        return self.config.action  # type: ignore[no-any-return]

    @property
    def settings(self) -> Any:
        return self.config.target_config.settings

    @property
    def bintree(self) -> Any:
        return self.config.target_config.trees["bintree"]

    @property
    def host_bintree(self) -> Any:
        """The binary packages of the build host."""
        return self.config.running_config.trees["bintree"]

    @property
    def vardb(self) -> Any:
        return self.config.target_config.trees["vartree"].dbapi

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has failed in the last run, in that order."""
        failed = self.scheduler._failed_pkgs_all if self.scheduler is not None else ()
        return tuple(Failure(str(one.pkg.cpv), _log_of(one)) for one in failed)


def _log_of(failed: Any) -> Path | None:
    """Return the log of a failed package: where PORT_LOGDIR has it, if there is one."""
    directory = getattr(failed, "build_dir", None)
    places = (getattr(failed, "build_log", None), directory and f"{directory}/temp/build.log")
    logs = (Path(os.path.realpath(place)) for place in places if place)
    return next((log for log in logs if log.is_file()), None)


def action_of(args: Sequence[str]) -> str | None:
    """Return the action that ``args`` ask for, before any root is loaded."""
    from _emerge.main import parse_opts

    action: str | None = parse_opts(list(args), silent=True)[0]
    return action


def run_early(args: Sequence[str]) -> int:
    """Run an action for which emerge loads no root."""
    from _emerge.main import emerge_main

    return int(emerge_main(list(args)) or 0)


EARLY_OPTIONS = {"--accept-properties": "ACCEPT_PROPERTIES", "--accept-restrict": "ACCEPT_RESTRICT"}
"""Options that Portage takes for variables, before it loads anything."""


def load(root: Root, args: Sequence[str], *, defaults: str = "") -> Half:
    """Load ``root`` and parse ``args`` behind its EMERGE_DEFAULT_OPTS.

    ``defaults`` are the caller's EMERGE_DEFAULT_OPTS. They come behind the root's, where
    Portage would have them instead: without its own, final would build from source.
    """
    portage_api.point_at(root.environment())
    import portage
    from _emerge.actions import load_emerge_config
    from _emerge.main import parse_opts

    action, opts, files = parse_opts(list(args), silent=True)
    if "--debug" in opts:
        os.environ["PORTAGE_DEBUG"] = "1"
        portage.util.initialize_logger(logging.DEBUG)
    for option, variable in EARLY_OPTIONS.items():
        if option in opts:
            os.environ[variable] = opts[option]
    portage._sync_mode = action == "sync"
    config = load_emerge_config(action=action, args=files, opts=opts)
    # At the end, not after a run: what went wrong in one is asked of the same databases.
    portage.process.atexit_register(_close_caches, config.trees)
    own = config.target_config.settings.get("EMERGE_DEFAULT_OPTS", "")
    if "--ignore-default-opts" in opts:
        own, defaults = make_conf.EMERGE_DEFAULT_OPTS[root.kind], ""
    words = [*shlex.split(own), *shlex.split(defaults), *args]
    config.action, config.opts, config.args = parse_opts(words)
    if root.kind == "final":
        for option in which_roots.JUDGED_BY_EBUILDS:
            config.opts.pop(option, None)
    return Half(root, config)


def _close_caches(trees: Any) -> None:
    """Close the metadata caches of all ebuild databases that were used."""
    for of_root in trees.values():
        if "porttree" not in of_root.lazy_items:
            of_root["porttree"].dbapi.close_caches()


def run(
    half: Half,
    *,
    also: Mapping[str, Any] | None = None,
    judge: Callable[[Plan], None] | None = None,
) -> int:
    """Run the half and return emerge's exit code.

    ``also`` has databases of packages, by EROOT, that count as binary packages though there
    are none yet. ``judge`` is told of the plan, and may raise rather than have it carried out.
    """
    import portage
    from _emerge.actions import run_action
    from portage.package.ebuild._ipc.QueryCommand import QueryCommand

    portage_api.point_at(half.root.environment())
    # Loading a root leaves its databases there; the other may have been loaded since.
    QueryCommand._db = half.config.trees
    portage.output.havecolor = 0
    os.umask(0o22)
    with _watched(half, judge), _additional_binaries(also or {}):
        try:
            return int(run_action(half.config) or 0)
        finally:
            _finish(half)


def _finish(half: Half) -> None:
    from _emerge.emergelog import emergelog
    from portage.output import xtermTitleReset

    titles = "notitles" not in half.settings.features
    if "--pretend" not in half.opts:
        emergelog(titles, " *** terminating.")
    if titles:
        xtermTitleReset()


@contextmanager
def _watched(half: Half, judge: Callable[[Plan], None] | None) -> Iterator[None]:
    """Within, what emerge plans and what carries it out are kept in ``half``."""
    from _emerge import actions

    half.plan = half.scheduler = None

    def keeping(function: Callable[..., Any]) -> Callable[..., Any]:
        def kept(*args: Any, **kwargs: Any) -> Any:
            success, graph, rest = function(*args, **kwargs)
            half.plan = depgraph.read(
                graph,
                success=success,
                eroot=half.settings["EROOT"],
                host=half.config.running_config.settings["EROOT"],
                keys=half.bintree.dbapi._aux_cache_keys,
            )
            if success and judge is not None:
                judge(half.plan)
            return success, graph, rest

        return kept

    class Kept(actions.Scheduler):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            half.scheduler = self
            super().__init__(*args, **kwargs)

    replaced = {
        "backtrack_depgraph": keeping(actions.backtrack_depgraph),
        "resume_depgraph": keeping(actions.resume_depgraph),
        "Scheduler": Kept,
    }
    originals = {name: getattr(actions, name) for name in replaced}
    try:
        for name, value in replaced.items():
            setattr(actions, name, value)
        yield
    finally:
        for name, value in originals.items():
            setattr(actions, name, value)


@contextmanager
def _additional_binaries(also: Mapping[str, Any]) -> Iterator[None]:
    """Within, the packages of ``also``, databases by EROOT, are binary packages of those roots.

    Said to the class: Portage loads all roots anew where a repository's package moves were
    not known yet.
    """
    from portage.dbapi.bintree import binarytree

    original = binarytree.populate

    def populate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (more := also.get(self.settings["EROOT"])) is not None:
            kwargs["add_repos"] = (more,)
        return original(self, *args, **kwargs)

    binarytree.populate = populate
    try:
        yield
    finally:
        binarytree.populate = original
