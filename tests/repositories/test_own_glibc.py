# SPDX-License-Identifier: BSD-3-Clause
"""Packages of Gentoo's and Flatcar's trees accept this program's own C library."""

from __future__ import annotations

import pytest
from machine import InUse, Overlay

ZONES = """\
RDEPEND="sys-libs/glibc
	!sys-libs/glibc[vanilla(+)]"
"""
"""The dependency of sys-libs/timezone-data, which has the programs for time zones."""


@pytest.mark.needs_root
def test_a_package_with_programs_for_time_zones_is_not_blocked(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    overlay.ebuild("test-own/zones-1", ZONES)
    plan = empty_prefix.emerge("--stage", "--pretend", "test-own/zones")
    said = plan.stdout + plan.stderr
    assert plan.returncode == 0, said
    assert "sys-libs/glibc-" in said
    assert "[blocks" not in said
