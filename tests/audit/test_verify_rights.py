# SPDX-License-Identifier: BSD-3-Clause
"""Permissions: the users who can read the files."""

from __future__ import annotations

import os
import struct

import pytest
from verify_mini import Mini
from verify_objects import EPREFIX

NET_RAW = 1 << 13


def private(mini: Mini) -> dict[str, tuple[str, str]]:
    """Return level and message of each unreadable file, by path."""
    found = {f.path: f for f in mini.audit().findings if f.code.startswith("private-")}
    return {path: (f.level, f.message) for path, f in found.items()}


@pytest.mark.needs_root
def test_a_program_with_capabilities_is_found(mini: Mini) -> None:
    ping = mini.write("usr/bin/ping", "", 0o755)
    data = struct.pack("<5I", 0x02000001, NET_RAW, 0, 0, 0)
    os.setxattr(ping, "security.capability", data)
    (finding,) = mini.audit().findings
    assert (finding.code, finding.level) == ("capability", "warning")
    assert finding.path == f"{EPREFIX}/usr/bin/ping"
    assert "0x2000" in finding.message


def test_a_prefix_that_was_set_up_with_umask_077_is_found(mini: Mini) -> None:
    for directory, _, _ in os.walk(mini.root / "opt"):
        os.chmod(directory, 0o700)
    found = private(mini)
    assert found["/opt"] == (
        "error",
        f"cannot be entered by others (mode 0700), so others cannot run {EPREFIX}/bin/sh",
    )
    errors = {path.removeprefix(EPREFIX) for path, (level, _) in found.items() if level == "error"}
    assert errors == {"/opt", "", "/bin", "/lib64", "/usr", "/usr/bin", "/usr/lib64"}
    assert found[f"{EPREFIX}/usr/lib64/pkgconfig"][0] == "warning"


def test_a_directory_without_programs_may_have_its_reasons(mini: Mini) -> None:
    mini.write("etc/ssl/private/key", "")
    (mini / "etc/ssl/private").chmod(0o700)
    mini.write("usr/share/after", "", 0o755)
    assert private(mini) == {
        f"{EPREFIX}/etc/ssl/private": ("warning", "cannot be entered by others (mode 0700)")
    }


def test_a_directory_that_cannot_be_listed_can_be_lived_with(mini: Mini) -> None:
    (mini / "usr/bin").chmod(0o711)
    assert private(mini) == {
        f"{EPREFIX}/usr/bin": ("warning", "cannot be listed by others (mode 0711)")
    }


def test_what_is_setuid_need_not_be_readable(mini: Mini) -> None:
    mini.write("usr/bin/su", "", 0o4711)
    assert private(mini) == {}
    mini.write("usr/bin/su", "", 0o4710)
    assert list(private(mini)) == [f"{EPREFIX}/usr/bin/su"]
