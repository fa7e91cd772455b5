# SPDX-License-Identifier: BSD-3-Clause
"""One root's half of an emerge call, in this process.

This does what ``_emerge.main.emerge_main`` does for a process of its own, so that
Portage is imported once for both halves and that the second can know what the first
had planned.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flatcar_prefix import portage_api
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


def load(root: Root, args: Sequence[str]) -> Half:
    """Load ``root`` and parse ``args`` behind its EMERGE_DEFAULT_OPTS."""
    portage_api.point_at(root)
    from _emerge.actions import load_emerge_config
    from _emerge.main import parse_opts

    action, opts, files = parse_opts(list(args), silent=True)
    if "--debug" in opts:
        os.environ["PORTAGE_DEBUG"] = "1"
    config = load_emerge_config(action=action, args=files, opts=opts)
    default = config.target_config.settings.get("EMERGE_DEFAULT_OPTS", "")
    words = [] if "--ignore-default-opts" in opts else shlex.split(default)
    config.action, config.opts, config.args = parse_opts([*words, *args])
    return Half(root, config)


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

    for trees in half.config.trees.values():
        if "porttree" not in trees.lazy_items:
            trees["porttree"].dbapi.close_caches()
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


def resumed_arguments(half: Half) -> tuple[str, ...]:
    """Return what was asked for by the call that ``--resume`` would go on with."""
    resume = half.config.target_config.mtimedb.get("resume") or {}
    return tuple(str(favorite) for favorite in resume.get("favorites", ()))
