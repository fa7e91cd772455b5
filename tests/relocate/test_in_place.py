# SPDX-License-Identifier: BSD-3-Clause
"""Relocation gives the bytes that a build at the same path gives, except for build IDs."""

from __future__ import annotations

import pytest
from comparison import compare
from machine import InUse, Machine

from flatcar_prefix.prefix import record
from flatcar_prefix.relocate.eprefix import LENGTH, pool_eprefix

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.by_hand,
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.timeout(900),
]

EPREFIX = "/opt/".ljust(LENGTH, "p")
"""As long as the path of the pool, so that a build at this path has no reason to differ."""

PACKAGES = ("app-arch/bzip2", "dev-libs/expat")


def differences(one: InUse, other: InUse) -> dict[str, dict[str, str]]:
    roots = [record.read(prefix.staging_dir).final for prefix in (one, other)]
    compared = dict(compare(*roots, build_ids=False))
    assert {name.rpartition("-")[0] for name in compared} >= set(PACKAGES)
    assert all(result.files for name, result in compared.items() if name.startswith("dev-libs"))
    return {name: result.differences for name, result in compared.items() if result.differences}


def test_a_relocated_package_is_as_built_in_place(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine.ok(*machine.setup_command("--bootstrap=import", "--pool", "--pool-key=none", "pool"))
    pool = InUse(machine, "pool", pool_eprefix("pool"))
    pool.install(*PACKAGES)
    moved = machine.setup(
        "moved", "--bootstrap=import", "--binhost=pool", "--binhost-key=none", eprefix=EPREFIX
    )
    assert ">>> Emerging (" not in moved.install(*PACKAGES).stdout
    # Another machine, because two prefixes of one machine do not have the same EPREFIX.
    elsewhere = Machine(tmp_path_factory.mktemp("elsewhere") / "machine")
    built = elsewhere.setup("built-here", "--bootstrap=import", eprefix=EPREFIX)
    assert ">>> Emerging (" in built.install(*PACKAGES).stdout
    assert differences(moved, built) == {}
