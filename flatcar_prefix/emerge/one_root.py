# SPDX-License-Identifier: BSD-3-Clause
"""An emerge call in one root, in this process.

``emerge_main`` handles one root in a process of its own. Both roots share this process,
so that Portage is imported once and final knows the plan of staging.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.config import make_conf
from flatcar_prefix.emerge import which_roots
from flatcar_prefix.portage_api import depgraph, emerge_calls, session as portage_api
from flatcar_prefix.portage_api.depgraph import Plan
from flatcar_prefix.portage_api.emerge_hooks import watched
from flatcar_prefix.prefix.model import Root


@dataclass(frozen=True)
class Failure:
    """A package that could not be built or installed."""

    cpv: str
    log: Path | None


@dataclass
class OneRoot:
    """A loaded root and what emerge is to do in it."""

    root: Root
    config: Any
    """What :func:`flatcar_prefix.portage_api.emerge_calls.load_config` returns."""
    plan: Plan | None = None
    """What the last run had planned, or None when it came to none."""
    scheduler: Any = None
    """The scheduler that carried the plan out, or None."""

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
        failed = () if self.scheduler is None else emerge_calls.failed_packages(self.scheduler)
        return tuple(Failure(str(one.pkg.cpv), _log_of(one)) for one in failed)


def _log_of(failed: Any) -> Path | None:
    """Return the log of a failed package: where PORT_LOGDIR has it, if there is one."""
    directory = getattr(failed, "build_dir", None)
    places = (getattr(failed, "build_log", None), directory and f"{directory}/temp/build.log")
    logs = (Path(os.path.realpath(place)) for place in places if place)
    return next((log for log in logs if log.is_file()), None)


def action_of(args: Sequence[str]) -> str | None:
    """Return the action that ``args`` ask for, before any root is loaded."""
    action: str | None = emerge_calls.parse_options(args, silent=True)[0]
    return action


def run_early(args: Sequence[str]) -> int:
    """Run an action for which emerge loads no root."""
    return emerge_calls.run_early(args)


EARLY_OPTIONS = {"--accept-properties": "ACCEPT_PROPERTIES", "--accept-restrict": "ACCEPT_RESTRICT"}
"""Options that Portage takes for variables, before it loads anything."""


def load(root: Root, args: Sequence[str], *, defaults: str = "") -> OneRoot:
    """Load ``root`` and parse ``args`` behind its EMERGE_DEFAULT_OPTS.

    ``defaults`` are the caller's EMERGE_DEFAULT_OPTS. They come behind the root's, where
    Portage would have them instead: without its own, final would build from source.
    """
    portage_api.point_at(root.environment())
    action, opts, files = emerge_calls.parse_options(args, silent=True)
    if "--debug" in opts:
        os.environ["PORTAGE_DEBUG"] = "1"
        portage_api.import_portage().util.initialize_logger(logging.DEBUG)
    for option, variable in EARLY_OPTIONS.items():
        if option in opts:
            os.environ[variable] = opts[option]
    config = emerge_calls.load_config(action, opts, files)
    own = config.target_config.settings.get("EMERGE_DEFAULT_OPTS", "")
    if "--ignore-default-opts" in opts:
        own, defaults = make_conf.EMERGE_DEFAULT_OPTS[root.kind], ""
    words = [*shlex.split(own), *shlex.split(defaults), *args]
    config.action, config.opts, config.args = emerge_calls.parse_options(words)
    if root.kind == "final":
        for option in which_roots.JUDGED_BY_EBUILDS:
            config.opts.pop(option, None)
    return OneRoot(root, config)


def run(
    one: OneRoot,
    *,
    also: Mapping[str, Any] | None = None,
    judge: Callable[[Plan], None] | None = None,
) -> int:
    """Run emerge in one root and return its exit code.

    ``also`` has databases of packages, by EROOT, that count as binary packages though there
    are none yet. ``judge`` is told of the plan, and may raise rather than have it carried out.
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
        if success and judge is not None:
            judge(one.plan)

    def on_scheduler(scheduler: Any) -> None:
        one.scheduler = scheduler

    with watched(on_plan=on_plan, on_scheduler=on_scheduler, binaries=also or {}):
        try:
            return emerge_calls.run_action(one.config)
        finally:
            _finish(one)


def _finish(one: OneRoot) -> None:
    from portage.output import xtermTitleReset

    titles = "notitles" not in one.settings.features
    if "--pretend" not in one.opts:
        emerge_calls.log_end(titles=titles)
    if titles:
        xtermTitleReset()
