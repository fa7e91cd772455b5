# SPDX-License-Identifier: BSD-3-Clause
"""Run emerge in one root, in this process.

``emerge_main`` needs one process per root. Here both roots share a process, so that it
imports Portage once and final's plan can use staging's.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flatcar_prefix import environ
from flatcar_prefix.config import make_conf
from flatcar_prefix.emerge import arguments, room, unfinished, which_roots
from flatcar_prefix.portage_api import depgraph, emerge_calls, session as portage_api
from flatcar_prefix.portage_api.depgraph import Plan
from flatcar_prefix.portage_api.emerge_hooks import watched
from flatcar_prefix.prefix.locks import installing
from flatcar_prefix.prefix.model import Root


@dataclass(frozen=True)
class Failure:
    """A package whose build or installation failed."""

    cpv: str
    log: Path | None


@dataclass
class OneRoot:
    """A loaded root and the call of emerge for it."""

    root: Root
    config: Any
    """The result of :func:`flatcar_prefix.portage_api.emerge_calls.load_config`."""
    plan: Plan | None = None
    """The plan of the last run; None if that run made no plan."""
    scheduler: Any = None
    """The scheduler that executed the plan, or None."""
    rejected: list[str] = field(default_factory=list)
    """The binary packages that the last run could not use; see :func:`run`."""
    caller_limits_load: bool = False
    """Whether the caller chose ``--load-average``."""

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
    def portdb(self) -> Any:
        return self.config.target_config.trees["porttree"].dbapi

    @property
    def vardb(self) -> Any:
        return self.config.target_config.trees["vartree"].dbapi

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The packages that failed in the last run, in order."""
        failed = () if self.scheduler is None else emerge_calls.failed_packages(self.scheduler)
        return tuple(Failure(str(one.pkg.cpv), _log_of(one)) for one in failed)


def _log_of(failed: Any) -> Path | None:
    """Return the log of a failed package, in PORT_LOGDIR if it is set, or None."""
    directory = getattr(failed, "build_dir", None)
    places = (getattr(failed, "build_log", None), directory and f"{directory}/temp/build.log")
    logs = (Path(os.path.realpath(place)) for place in places if place)
    return next((log for log in logs if log.is_file()), None)


def action_of(args: Sequence[str]) -> str | None:
    """Return emerge's action in ``args``; load no root."""
    action: str | None = emerge_calls.parse_options(args, silent=True)[0]
    return action


def run_early(args: Sequence[str]) -> int:
    """Run an action for which emerge loads no root."""
    return emerge_calls.run_early(args)


EARLY_OPTIONS = {"--accept-properties": "ACCEPT_PROPERTIES", "--accept-restrict": "ACCEPT_RESTRICT"}
"""Options that Portage turns into variables before it loads a root."""


def load(root: Root, args: Sequence[str], *, defaults: str = "") -> OneRoot:
    """Load ``root``; parse its EMERGE_DEFAULT_OPTS, then ``defaults``, then ``args``.

    ``defaults`` are the caller's EMERGE_DEFAULT_OPTS. In Portage they would replace the
    root's own, and final would then build from source. Raise :class:`PrefixError` if the root
    does not exist.
    """
    if not root.eroot.is_dir():
        from flatcar_prefix.prefix import registry  # emerge starts faster without it

        registry.refuse_unconfigured(root)
    portage_api.point_at(root.environment())
    action, opts, files = emerge_calls.parse_options(args, silent=True)
    if "--debug" in opts:
        environ.publish({"PORTAGE_DEBUG": "1"})
        portage_api.import_portage().util.initialize_logger(logging.DEBUG)
    for option, variable in EARLY_OPTIONS.items():
        if option in opts:
            environ.publish({variable: opts[option]})
    config = emerge_calls.load_config(action, opts, files)
    own = config.target_config.settings.get("EMERGE_DEFAULT_OPTS", "")
    if "--ignore-default-opts" in opts:
        own, defaults = make_conf.last_options(root), ""
    words = [*shlex.split(own), *shlex.split(defaults), *args]
    config.action, config.opts, config.args = emerge_calls.parse_options(words)
    if root.kind == "final":
        for option in (*which_roots.JUDGED_BY_EBUILDS, *which_roots.FROM_BINHOSTS):
            config.opts.pop(option, None)
        config.opts.update(which_roots.ALWAYS_IN_FINAL)
    config.args = arguments.resolved(config.args, root)
    by_caller = (*shlex.split(defaults), *args)
    return OneRoot(
        root,
        config,
        caller_limits_load=any(word.startswith("--load-average") for word in by_caller),
    )


def run(
    one: OneRoot,
    *,
    also: Mapping[str, Any] | None = None,
    judge: Callable[[Plan], None] | None = None,
    accepts: Callable[[str, str, str], bool] | None = None,
    on_host: Sequence[tuple[str, Mapping[str, str]]] = (),
) -> int:
    """Run emerge in one root and return its exit code.

    ``also`` has databases of packages, by EROOT, that count as binary packages without being
    built. ``judge`` receives a successful plan, and can raise to prevent its execution.
    ``accepts`` receives cpv, BUILD_TIME and BUILD_ID of each binary package of the root, and
    returns whether emerge may use it. ``on_host`` has packages, with the metadata of the VDB,
    that count as installed on the build host.
    """
    portage_api.point_at(one.root.environment())
    one.plan = one.scheduler = None

    def on_plan(success: bool, graph: Any) -> None:
        one.plan = depgraph.read(
            graph,
            success=success,
            eroot=one.settings["EROOT"],
            host=one.config.running_config.settings["EROOT"],
            keys=emerge_calls.cache_keys(one.bintree.dbapi),
        )
        if success:
            start_installations_at_once(one)
        if success and judge is not None:
            judge(one.plan)

    def on_scheduler(scheduler: Any) -> None:
        one.scheduler = scheduler

    rejected = one.rejected = []

    def accepted(cpv: str, build_time: str, build_id: str) -> bool:
        if accepts is None or accepts(cpv, build_time, build_id):
            return True
        rejected.append(cpv)
        return False

    with (
        _prepared(one),
        watched(
            on_plan=on_plan,
            on_scheduler=on_scheduler,
            binaries=also or {},
            accepts={one.settings["EROOT"]: accepted} if accepts is not None else {},
            installed={one.config.running_config.settings["EROOT"]: on_host} if on_host else {},
        ),
    ):
        try:
            return emerge_calls.run_action(one.config)
        finally:
            _finish(one)


def start_installations_at_once(one: OneRoot) -> None:
    """Drop this program's limit of the load for a plan that builds nothing.

    With ``--load-average``, Portage waits up to five seconds before each job. That is long for the
    installation of a binary package.
    """
    packages = () if one.plan is None else (*one.plan.packages, *one.plan.host)
    builds = any(package.merges and not package.build_time for package in packages)
    if not builds and not one.caller_limits_load:
        one.opts.pop("--load-average", None)


CHANGING_ACTIONS = frozenset(
    {None, "unmerge", "rage-clean", "depclean", "prune", "deselect", "config", "clean"}
)
"""emerge's actions that change a root; None is the default one, to merge packages."""


@contextmanager
def _prepared(one: OneRoot) -> Iterator[None]:
    """Within, the root is ready for emerge's action.

    Lock final against readers that need an unchanging root. Check the free space for a build in
    staging, and reuse the binary packages of a killed call.
    """
    prefix = one.root.prefix
    if one.action not in CHANGING_ACTIONS or "--pretend" in one.opts:
        yield
    elif one.root.kind == "final":
        with installing(one.root):
            yield
    elif one.action is not None:
        yield
    else:
        room.check(one.settings)
        since = unfinished.killed_since(prefix)
        # With binhosts, emerge.binhosts decides about these packages, too.
        if since is not None and "getbinpkg" not in one.settings.features:
            unfinished.take_binaries(one.opts, one.bintree, one.vardb, since)
        with unfinished.noted(prefix):
            yield
        unfinished.forget(prefix)


def _finish(one: OneRoot) -> None:
    from portage.output import xtermTitleReset

    titles = "notitles" not in one.settings.features
    if "--pretend" not in one.opts:
        emerge_calls.log_end(titles=titles)
    if titles:
        xtermTitleReset()
