# SPDX-License-Identifier: BSD-3-Clause
"""A killed call of emerge goes on; a full PORTAGE_TMPDIR is noticed before a build."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from machine import InUse, Overlay, descendants

from flatcar_prefix.emerge import room
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system.activity import Watch, cpu_ticks

pytestmark = pytest.mark.needs_root


def kill_once(prefix: InUse, package: str, moment: Callable[[], bool]) -> None:
    """Start emerge, and kill it, it alone, when the moment has come."""
    command = [prefix.wrapper("emerge"), "--oneshot", package]
    child = subprocess.Popen(
        command, env=prefix.machine.environment(), cwd=prefix.machine.base,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not moment():
        assert child.poll() is None, "it ended before"
        assert time.monotonic() < until
        time.sleep(0.02)
    ends = descendants(child.pid)
    child.kill()
    child.wait()
    while left := [pid for pid in ends if Path("/proc", str(pid)).exists()]:
        assert time.monotonic() < until, f"processes of the killed call go on: {left}"
        time.sleep(0.02)


@pytest.mark.e2e
def test_what_a_killed_call_has_built_is_not_built_again(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    wait = overlay.write("wait", "")
    package = overlay.ebuild(
        "test-killed/once-1",
        f"""
        src_install() {{
            insinto /usr/share/once
            newins - text <<<"${{RANDOM}}"
        }}
        pkg_preinst() {{
            [[ ! -e {wait} ]] || {{ : >"${{T}}/merging" && sleep 5; }}
        }}
        """,
    )

    def is_built() -> bool:
        # Portage has written the whole binary package before it merges.
        return bool(list(empty_prefix.staging_dir.glob("tmp/portage/test-killed/*/temp/merging")))

    kill_once(empty_prefix, package, is_built)
    wait.unlink()
    assert "test-killed/once-1" not in empty_prefix.installed("staging")
    left = [
        (path.name, path.stat().st_size, path.stat().st_mtime)
        for place in (empty_prefix.staging_dir / "tmp", empty_prefix.staging_dir / "pkgs")
        for path in (*place.glob(".*"), *place.glob("test-killed/once/*"))
    ]
    said = empty_prefix.install("--oneshot", package).stdout.partition("installing into")[0]
    assert ">>> Emerging binary (1 of 1) test-killed/once-1" in said, (left, said)
    assert len(empty_prefix.binaries("test-killed/once-1")) == 1
    for kind in ("staging", "final"):
        assert "test-killed/once-1" in empty_prefix.installed(kind)
    again = empty_prefix.install("--oneshot", package).stdout.partition("installing into")[0]
    assert ">>> Emerging (1 of 1) test-killed/once-1" in again, "a finished call builds again"


@pytest.mark.parametrize("confine", ["yes", "no"])
def test_the_processes_of_a_killed_call_end_with_it(
    empty_prefix: InUse, overlay: Overlay, confine: str
) -> None:
    package = overlay.ebuild(
        f"test-killed/confined-{confine}-1",
        """
        src_compile() {
            trap '' TERM HUP INT
            touch asleep || die
            sleep 300
        }
        """,
    )
    asleep = empty_prefix.staging_dir / f"tmp/portage/{package}-1/work/asleep"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(empty_prefix.machine.variables, "FLATCAR_PREFIX_CONFINE", confine)
        kill_once(empty_prefix, package, asleep.exists)


def test_half_a_binary_package_is_swept(empty_prefix: InUse, overlay: Overlay) -> None:
    package = overlay.ebuild("test-killed/half-1")
    dead = subprocess.Popen(["true"])
    dead.wait()
    directory = empty_prefix.staging_dir / "pkgs/test-killed/half"
    directory.mkdir(parents=True)
    partial = directory / f"half-1-1.gpkg.tarabcdefgh.{dead.pid}"
    alive = directory / f"half-1-1.gpkg.tarabcdefgh.{os.getpid()}"
    reserved = directory / "half-1-7.gpkg.tar"
    for path in (partial, alive, reserved):
        path.write_text("" if path == reserved else "half")
    empty_prefix.install("--oneshot", package)
    assert not partial.exists()
    assert not reserved.exists()
    assert alive.exists()
    alive.unlink()


def test_no_room_for_a_build_is_an_error(tmp_path: Path) -> None:
    room.check({"PORTAGE_TMPDIR": str(tmp_path)})
    room.check({"PORTAGE_TMPDIR": str(tmp_path / "missing")})
    small = tmp_path / "small"
    small.mkdir()
    for option, word in (("size=1m", "1 MiB"), ("size=64m,nr_inodes=100", "inodes")):
        subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", small], check=True)
        try:
            with pytest.raises(PrefixError, match=word) as caught:
                room.check({"PORTAGE_TMPDIR": str(small)})
        finally:
            subprocess.run(["umount", small], check=True)
        assert str(small) in str(caught.value)


def test_an_idle_process_is_told_from_a_busy_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    for script, is_idle in (("sleep 9", True), ("while :; do :; done", False)):
        with subprocess.Popen(["sh", "-c", script]) as child:
            watch = Watch(child.pid, log, every=0.2)
            until = time.monotonic() + 1.4
            while time.monotonic() < until:
                idle = watch.idle()
                time.sleep(0.05)
            assert (idle > 0.7) is is_idle, script
            child.kill()


def test_the_time_of_descendants_counts() -> None:
    with subprocess.Popen(["sh", "-c", "sh -c 'while :; do :; done' & wait"]) as child:
        time.sleep(1)
        used = cpu_ticks(child.pid)
        subprocess.run(["pkill", "-P", str(child.pid)], check=False)
        child.wait()
    assert used > 0
