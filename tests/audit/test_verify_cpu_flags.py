# SPDX-License-Identifier: BSD-3-Clause
"""Packages that were compiled for newer processors than the board's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from flatcar_prefix.audit.api import verify
from flatcar_prefix.audit.checks.cpu_flags import beyond_baseline
from flatcar_prefix.prefix.record import read

EPREFIX = "/opt/verify-test"


@pytest.mark.parametrize(
    ("arch", "flags", "found"),
    [
        ("amd64", "-O2 -pipe", ""),
        ("amd64", "-O2 -march=x86-64 -mtune=native", ""),
        ("amd64", "-O2 -march=native", "-march=native"),
        ("amd64", "-march=x86-64-v3 -O2", "-march=x86-64-v3"),
        ("amd64", "-march=native -O2 -march=x86-64", ""),
        ("amd64", "-O2 -mavx2 -mfma", "-mavx2"),
        ("amd64", "-O2 -msse2 -mno-avx -maccumulate-outgoing-args -mshstk", ""),
        ("arm64", "-O2 -march=armv8-a", ""),
        ("arm64", "-O2 -march=armv8.2-a+crypto", "-march=armv8.2-a+crypto"),
        ("arm64", "-O2 -mcpu=neoverse-n1", "-mcpu=neoverse-n1"),
        ("amd64", "", ""),
    ],
)
def test_flags_beyond_the_baseline_are_known(arch: str, flags: str, found: str) -> None:
    assert beyond_baseline(flags, arch) == found


@pytest.mark.parametrize("variable", ["CFLAGS", "CXXFLAGS"])
def test_a_package_for_newer_processors_is_found(real: SimpleNamespace, variable: str) -> None:
    staging = read(real.prefix.staging_dir).staging
    entry: Path = staging.eroot / "var/db/pkg/app-misc/fine-1"
    needed, flags = entry / "NEEDED.ELF.2", entry / variable
    before = flags.read_text() if flags.exists() else None
    try:
        flags.write_text("-O2 -march=native\n")
        assert verify(read(real.prefix.staging_dir).staging).ok, "it has no ELF files"
        needed.write_text(f"X86_64;{EPREFIX}/usr/bin/fine;;;libc.so.6;x86_64\n")
        (finding,) = verify(read(real.prefix.staging_dir).staging).findings
    finally:
        needed.unlink(missing_ok=True)
        flags.unlink()
        if before is not None:
            flags.write_text(before)
    assert (finding.code, finding.level) == ("portability-cpu", "warning")
    assert (finding.path, finding.package) == (f"{EPREFIX}/usr/bin/fine", "app-misc/fine-1")
    assert "-march=native" in finding.message
