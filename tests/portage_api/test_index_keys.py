# SPDX-License-Identifier: BSD-3-Clause
"""The index of binary packages has the keys that a consumer of a pool needs."""

from __future__ import annotations

import pytest
from machine import InUse, Machine, Overlay


def entries(prefix: InUse) -> list[dict[str, str]]:
    text = (prefix.staging_dir / "pkgs/Packages").read_text()
    blocks = (block for block in text.split("\n\n")[1:] if block.strip())
    return [dict(line.split(": ", 1) for line in b.splitlines() if ": " in line) for b in blocks]


@pytest.mark.e2e
def test_the_index_has_the_eprefix_of_each_package(machine: Machine) -> None:
    overlay = Overlay(machine.base / "overlay", "keys")
    prefix = machine.setup("keys", f"--custom_ebuild_overlays={overlay.path}")
    prefix.install("--stage", overlay.ebuild("test-keys/one-1"))
    assert [(e["CPV"], e["EPREFIX"]) for e in entries(prefix)] == [
        ("test-keys/one-1", "/usr/local/keys")
    ]

    # Plain emerge does not know the keys and drops them; the next call finds them again.
    plain = prefix.plain("staging", "emerge", "-1", overlay.ebuild("test-keys/two-1"))
    assert plain.returncode == 0, plain.stdout + plain.stderr
    assert not any("EPREFIX" in entry for entry in entries(prefix))
    prefix.install("--stage", overlay.ebuild("test-keys/three-1"))
    found = {entry["CPV"]: entry.get("EPREFIX") for entry in entries(prefix)}
    assert found == {f"test-keys/{name}-1": "/usr/local/keys" for name in ("one", "two", "three")}
