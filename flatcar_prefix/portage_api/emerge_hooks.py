# SPDX-License-Identifier: BSD-3-Clause
"""Hooks into ``_emerge`` for one run of emerge, as one context manager.

Portage has no public call that runs emerge and returns its plan. Within the context, the
functions below replace names of ``_emerge.actions`` and one method of ``binarytree``. The
names are the same in Portage 3.0.63 to 3.0.83.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

OnPlan = Callable[[bool, Any], None]
"""Receives whether the plan succeeded, and the ``_emerge.depgraph.depgraph``."""
Accepts = Callable[[str, str, str], bool]
"""Called with cpv, BUILD_TIME and BUILD_ID of a binary package."""
OnScheduler = Callable[[Any], None]
"""Receives the ``_emerge.Scheduler.Scheduler`` before it starts."""


@contextmanager
def watched(
    *,
    on_plan: OnPlan,
    on_scheduler: OnScheduler,
    binaries: Mapping[str, Any],
    accepts: Mapping[str, Accepts] | None = None,
    installed: Mapping[str, Iterable[tuple[str, Mapping[str, str]]]] | None = None,
) -> Iterator[None]:
    """Within, report each plan and each scheduler that emerge makes.

    ``binaries`` holds databases by EROOT; their packages count as binary packages of those
    roots. An exception of a callback ends the run. At its end, the context restores all names.
    """
    from _emerge import actions, depgraph
    from portage.dbapi.bintree import binarytree

    class Scheduler(actions.Scheduler):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            on_scheduler(self)
            super().__init__(*args, **kwargs)

        def terminate(self) -> None:
            super().terminate()
            self._event_loop.call_soon_threadsafe(_leave_later, self._event_loop)

    with ExitStack() as stack:
        for name in ("backtrack_depgraph", "resume_depgraph"):
            reporting = _reporting(getattr(actions, name), on_plan)
            stack.enter_context(replaced(actions, name, reporting))
        stack.enter_context(replaced(actions, "Scheduler", Scheduler))
        # On the class: Portage loads all roots again after new package moves.
        populate = _populating(binarytree.populate, binaries, accepts or {})
        stack.enter_context(replaced(binarytree, "populate", populate))
        if installed:
            vartree = _with_installed(depgraph.FakeVartree, installed)
            stack.enter_context(replaced(depgraph, "FakeVartree", vartree))
        yield


GRACE = 30.0
"""The seconds that tasks have to end after emerge has terminated them."""


def _leave_later(loop: Any) -> None:
    """Leave the event loop after :data:`GRACE`.

    After a signal, Portage ignores further signals and waits for all tasks without a limit. The
    kernel ends their processes with this one, see ``phase_hooks``.
    """

    def leave() -> None:
        writemsg(f"\n!!! Tasks did not end within {GRACE:.0f} seconds.\n", noiselevel=-1)
        sys.exit(128 + signal.SIGINT)

    from portage.util import writemsg

    loop.call_later(GRACE, leave)


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Within, the attribute ``name`` of ``owner`` is ``value``."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _reporting(function: Callable[..., Any], on_plan: OnPlan) -> Callable[..., Any]:
    """Return ``function``, which makes a plan, so that it reports the plan afterwards."""

    def reporting(*args: Any, **kwargs: Any) -> Any:
        success, graph, rest = function(*args, **kwargs)
        on_plan(success, graph)
        return success, graph, rest

    return reporting


def _with_installed(
    original: Any, installed: Mapping[str, Iterable[tuple[str, Mapping[str, str]]]]
) -> Any:
    """Return ``_emerge.FakeVartree.FakeVartree`` that has the packages of ``installed``, too."""
    from _emerge.Package import Package
    from portage.versions import _pkg_str

    class Vartree(original):  # type: ignore[misc]
        def _sync(self) -> None:
            super()._sync()
            for cpv, metadata in installed.get(self.settings["EROOT"], ()):
                package = Package(
                    built=True,
                    # A plain string has no database, which Package reads.
                    cpv=_pkg_str(
                        cpv, metadata=metadata, settings=self.settings, db=self._real_vardb
                    ),
                    installed=True,
                    metadata=dict(metadata),
                    root_config=self._pkg_root_config,
                    type_name="installed",
                )
                self.dbapi.cpv_inject(package)

    return Vartree


def _reject(bintree: Any, accepted: Accepts) -> None:
    """Remove the local binary packages that are not ``accepted`` from the database."""
    database = bintree.dbapi
    for cpv in database.cpv_all():
        if database._instance_key(cpv) in bintree._additional_pkgs:
            continue
        if not accepted(str(cpv), *database.aux_get(cpv, ["BUILD_TIME", "BUILD_ID"])):
            database.cpv_remove(cpv)


def _populating(
    original: Callable[..., Any], binaries: Mapping[str, Any], accepts: Mapping[str, Accepts]
) -> Callable[..., Any]:
    """Return ``binarytree.populate`` that adds the packages of ``binaries``."""

    def populate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (more := binaries.get(self.settings["EROOT"])) is not None:
            kwargs["add_repos"] = (more,)
        result = original(self, *args, **kwargs)
        accepted = accepts.get(self.settings["EROOT"])
        # Not while it is being read: its database then calls this again.
        if accepted is not None and self.populated:
            _reject(self, accepted)
        return result

    return populate
