# SPDX-License-Identifier: BSD-3-Clause
"""The hooks into ``_emerge`` report the plan and the scheduler, and restore all names."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("portage")

from _emerge import actions
from portage.dbapi.bintree import binarytree

from flatcar_prefix.portage_api.emerge_hooks import watched


def hooked() -> tuple[Any, ...]:
    return (
        actions.backtrack_depgraph,
        actions.resume_depgraph,
        actions.Scheduler,
        binarytree.populate,
    )


def nothing(*_args: object) -> None:
    """Ignore a report."""


def test_everything_is_restored() -> None:
    before = hooked()
    with watched(on_plan=nothing, on_scheduler=nothing, binaries={}):
        assert all(now is not then for now, then in zip(hooked(), before, strict=True))
    assert hooked() == before


def test_everything_is_restored_after_an_exception() -> None:
    before = hooked()
    with (
        pytest.raises(KeyError),
        watched(on_plan=nothing, on_scheduler=nothing, binaries={}),
    ):
        raise KeyError
    assert hooked() == before


def test_everything_is_restored_when_a_name_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hooked()
    with monkeypatch.context() as patch:
        patch.delattr(binarytree, "populate")
        with (
            pytest.raises(AttributeError),
            watched(on_plan=nothing, on_scheduler=nothing, binaries={}),
        ):
            raise AssertionError("not reached")
    assert hooked() == before


def test_a_plan_is_reported_and_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "backtrack_depgraph", lambda *_: (True, "graph", "rest"))
    seen: list[object] = []
    with watched(on_plan=lambda *plan: seen.append(plan), on_scheduler=nothing, binaries={}):
        assert actions.backtrack_depgraph("settings") == (True, "graph", "rest")
    assert seen == [(True, "graph")]


def test_additional_binaries_reach_their_root_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(binarytree, "populate", lambda _self, **kwargs: calls.append(kwargs))

    class Tree:
        def __init__(self, eroot: str) -> None:
            self.settings = {"EROOT": eroot}

    with watched(on_plan=nothing, on_scheduler=nothing, binaries={"/a/": "more"}):
        binarytree.populate(Tree("/a/"))
        binarytree.populate(Tree("/b/"))
    assert calls == [{"add_repos": ("more",)}, {}]
