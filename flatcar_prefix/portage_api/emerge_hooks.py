# SPDX-License-Identifier: BSD-3-Clause
"""Hooks into ``_emerge`` for one run of emerge, as one context manager.

Portage has no public call that runs emerge and hands out its plan. The functions below
replace names of ``_emerge.actions`` and one method of ``binarytree`` for as long as the
context lasts. The names are the same in Portage 3.0.63 to 3.0.83.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

OnPlan = Callable[[bool, Any], None]
"""Called with whether a plan was made, and with the ``_emerge.depgraph.depgraph``."""
OnScheduler = Callable[[Any], None]
"""Called with the ``_emerge.Scheduler.Scheduler`` before it starts."""


@contextmanager
def watched(
    *, on_plan: OnPlan, on_scheduler: OnScheduler, binaries: Mapping[str, Any]
) -> Iterator[None]:
    """Within, report each plan and each scheduler that emerge makes.

    ``binaries`` holds databases by EROOT; their packages count as binary packages of those
    roots. An exception of a callback ends the run. Everything is restored at the end.
    """
    from _emerge import actions
    from portage.dbapi.bintree import binarytree

    class Scheduler(actions.Scheduler):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            on_scheduler(self)
            super().__init__(*args, **kwargs)

    with ExitStack() as stack:
        for name in ("backtrack_depgraph", "resume_depgraph"):
            reporting = _reporting(getattr(actions, name), on_plan)
            stack.enter_context(_replaced(actions, name, reporting))
        stack.enter_context(_replaced(actions, "Scheduler", Scheduler))
        # On the class: Portage loads all roots again after new package moves.
        populate = _populating(binarytree.populate, binaries)
        stack.enter_context(_replaced(binarytree, "populate", populate))
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _reporting(function: Callable[..., Any], on_plan: OnPlan) -> Callable[..., Any]:
    """Return ``function``, which makes a plan, with a report of the plan after it."""

    def reporting(*args: Any, **kwargs: Any) -> Any:
        success, graph, rest = function(*args, **kwargs)
        on_plan(success, graph)
        return success, graph, rest

    return reporting


def _populating(original: Callable[..., Any], binaries: Mapping[str, Any]) -> Callable[..., Any]:
    """Return ``binarytree.populate`` that adds the packages of ``binaries``."""

    def populate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (more := binaries.get(self.settings["EROOT"])) is not None:
            kwargs["add_repos"] = (more,)
        return original(self, *args, **kwargs)

    return populate
