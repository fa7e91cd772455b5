# SPDX-License-Identifier: BSD-3-Clause
"""The lock file beside a build directory stays writable; ebuild-ipc of Portage 3.0.63 opens it."""

from __future__ import annotations

from pathlib import Path

from flatcar_prefix.sandbox import confinement


def test_the_lock_of_a_build_directory_is_writable_where_it_exists(tmp_path: Path) -> None:
    build = tmp_path / "app-misc/x-1"
    build.mkdir(parents=True)
    assert confinement._lock_of(str(build)) == []
    lock = build.with_name(".x-1.portage_lockfile")
    lock.touch()
    assert confinement._lock_of(str(build)) == [str(lock)]
    assert confinement._lock_of("") == []
