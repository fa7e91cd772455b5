# SPDX-License-Identifier: BSD-3-Clause
"""The limit of the load delays builds only, not the installation of binary packages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flatcar_prefix.emerge.one_root import OneRoot, start_installations_at_once
from flatcar_prefix.portage_api.depgraph import Plan, Planned

BINARY, EBUILD = "1700000000", ""


def planned(build_time: str, *, merges: bool = True) -> Planned:
    return Planned("a/b-1", "a/b:0", merges, True, False, None, build_time, None)


@pytest.mark.parametrize(
    ("packages", "host", "by_caller", "limited"),
    [
        ([BINARY, BINARY], [], False, False),
        ([BINARY, EBUILD], [], False, True),
        ([BINARY], [EBUILD], False, True),
        ([BINARY], [], True, True),
    ],
)
def test_only_a_plan_with_builds_keeps_the_limit(
    packages: list[str], host: list[str], by_caller: bool, limited: bool
) -> None:
    plan = Plan(True, tuple(map(planned, packages)), tuple(map(planned, host)), ())
    config: Any = SimpleNamespace(opts={"--load-average": 2.0, "--jobs": 2})
    one = OneRoot(None, config, plan, caller_limits_load=by_caller)  # type: ignore[arg-type]
    start_installations_at_once(one)
    assert ("--load-average" in one.opts) == limited
    assert "--jobs" in one.opts


def test_an_installed_package_is_no_build() -> None:
    plan = Plan(True, (planned(EBUILD, merges=False),), (), ())
    one = OneRoot(None, SimpleNamespace(opts={"--load-average": 2.0}), plan)  # type: ignore[arg-type]
    start_installations_at_once(one)
    assert one.opts == {}
