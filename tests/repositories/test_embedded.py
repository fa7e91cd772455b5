# SPDX-License-Identifier: BSD-3-Clause
"""Embedded packages that no other test installs."""

from __future__ import annotations

import pytest
from machine import InUse

pytestmark = [pytest.mark.e2e, pytest.mark.needs_namespaces, pytest.mark.timeout(900)]


def test_tcl_runs_and_is_self_contained(imported_prefix: InUse) -> None:
    imported_prefix.install("dev-lang/tcl")
    machine = imported_prefix.machine
    said = machine.fp(
        "run", imported_prefix.name, "--", "tclsh", input="puts [expr {6 * 7}]\n", stdin=None
    )
    assert said.stdout == "42\n", said.stderr
    text = (imported_prefix.final / "usr/lib64/tclConfig.sh").read_text()
    assert f"TCL_BUILD_LIB_SPEC='-L{imported_prefix.eprefix}/usr/lib64 -ltcl8.6'" in text
