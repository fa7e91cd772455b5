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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flatcar_prefix import makeconf, portage_api
from flatcar_prefix.emerge import plan
from flatcar_prefix.prefix import Root


@dataclass
class Half:
    """A loaded root and what emerge is to do in it."""

    root: Root
    config: Any
    """``_emerge.actions._emerge_config``."""
    planned: Any = None
    """The depgraph that the last run made, or None."""

    @property
    def opts(self) -> dict[str, Any]:
        return self.config.opts  # type: ignore[no-any-return]

    @property
    def action(self) -> str | None:
        return self.config.action  # type: ignore[no-any-return]

    @property
    def settings(self) -> Any:
        return self.config.target_config.settings


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
    portage_api.point_at(root)
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
        own, defaults = makeconf.EMERGE_DEFAULT_OPTS[root.kind], ""
    words = [*shlex.split(own), *shlex.split(defaults), *args]
    config.action, config.opts, config.args = parse_opts(words)
    if root.kind == "final":
        for option in plan.JUDGED_BY_EBUILDS:
            config.opts.pop(option, None)
    return Half(root, config)


def _close_caches(trees: Any) -> None:
    """Close the metadata caches of all ebuild databases that were used."""
    for of_root in trees.values():
        if "porttree" not in of_root.lazy_items:
            of_root["porttree"].dbapi.close_caches()


def run(half: Half, *, also: Any = None) -> int:
    """Run the half and return emerge's exit code.

    ``also`` is a database of packages that count as binary packages though there are
    none yet, to show a plan by.
    """
    import portage
    from _emerge.actions import run_action

    portage_api.point_at(half.root)
    portage.output.havecolor = 0
    os.umask(0o22)
    with _captured_depgraph(half), _additional_binaries(half, also):
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
def _captured_depgraph(half: Half) -> Iterator[None]:
    """Within, the dependency graph that emerge makes is kept as ``half.planned``."""
    from _emerge import actions

    original = actions.backtrack_depgraph

    def keeping(*args: Any, **kwargs: Any) -> Any:
        success, graph, favorites = original(*args, **kwargs)
        half.planned = graph if success else None
        return success, graph, favorites

    actions.backtrack_depgraph = keeping
    try:
        yield
    finally:
        actions.backtrack_depgraph = original


@contextmanager
def _additional_binaries(half: Half, also: Any) -> Iterator[None]:
    """Within, the packages of ``also`` are binary packages of the root."""
    if also is None:
        yield
        return
    bintree = half.config.target_config.trees["bintree"]
    original = bintree.populate

    def populate(**kwargs: Any) -> None:
        original(**{**kwargs, "add_repos": (also,)})

    bintree.populate = populate
    try:
        yield
    finally:
        del bintree.populate


def planned_packages(half: Half) -> Any:
    """Return a database of what the half's plan would have built.

    Its metadata are those that binary packages of them would have; see
    ``portage.dbapi.virtual.fakedbapi``.
    """
    from portage.dbapi.virtual import fakedbapi

    bindb = half.config.target_config.trees["bintree"].dbapi
    database = fakedbapi(settings=half.settings)
    database._aux_cache_keys = frozenset(bindb._aux_cache_keys)
    for package in _to_build(half):
        metadata = {key: package._metadata.get(key, "") for key in database._aux_cache_keys}
        metadata["USE"] = " ".join(sorted(package.use.enabled))
        metadata["repository"] = package.repo
        metadata["BUILD_ID"] = ""
        metadata["SIZE"] = "0"
        database.cpv_inject(package.cpv, metadata=metadata)
    return database


def _to_build(half: Half) -> Iterator[Any]:
    if half.planned is None:
        return
    eroot = half.settings["EROOT"]
    for package in half.planned.altlist():
        if getattr(package, "type_name", "") == "ebuild" and package.root == eroot:
            yield package


def unsatisfied(half: Half) -> tuple[str, ...]:
    """Return the atoms for which there is no package, after a run that came to no plan.

    The plan is made once more: Portage has made it in a process of its own.
    """
    from _emerge.create_depgraph_params import create_depgraph_params
    from _emerge.depgraph import backtrack_depgraph
    from _emerge.stdout_spinner import stdout_spinner

    opts = {**half.opts, "--quiet": True}
    spinner = stdout_spinner()
    spinner.update = bool  # which says nothing
    settings, trees = half.settings, half.config.trees
    parameters = create_depgraph_params(opts, half.action)
    success, graph, _ = backtrack_depgraph(
        settings, trees, opts, parameters, half.action, half.config.args, spinner
    )
    missing = () if success else graph._dynamic_config._unsatisfied_deps_for_display
    atoms = (positional[1] for positional, _ in missing)
    return tuple(dict.fromkeys(str(getattr(atom, "without_use", atom)) for atom in atoms))


def resumed_arguments(half: Half) -> tuple[str, ...]:
    """Return what was asked for by the call that ``--resume`` would go on with."""
    resume = half.config.target_config.mtimedb.get("resume") or {}
    return tuple(str(favorite) for favorite in resume.get("favorites", ()))
