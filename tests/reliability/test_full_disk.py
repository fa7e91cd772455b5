# SPDX-License-Identifier: BSD-3-Clause
"""No space, no inodes, or nothing to write to: said in two lines, and nothing is lost.

Each run has a file system of another size; ``FLATCAR_PREFIX_RUNS`` is their number.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import RUNS, TIMEOUT, Scene
from machine import InUse, Machine, two_lines

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(TIMEOUT),
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
]


@pytest.fixture
def place(machine: Machine) -> Iterator[Path]:
    """A directory to mount at, which holds nothing afterwards."""
    directory = machine.base / "small"
    directory.mkdir()
    yield directory
    while directory.is_mount():
        subprocess.run(["umount", directory], check=True)


def mount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)


def mount_loop(place: Path, megabytes: int) -> None:
    """Mount a small ext4 file system; the loop device goes with the mount."""
    image = place.with_name("small.img")
    image.write_bytes(b"")
    subprocess.run(["truncate", f"--size={megabytes}M", image], check=True)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)


def small(machine: Machine, place: Path) -> tuple[InUse, list[str]]:
    """Return a prefix with all of its directories on the small file system, and its set-up."""
    flags = [f"--{which}_dir={place}/{which}" for which in ("staging", "final", "wrapper")]
    command = machine.setup_command("--bootstrap=none", *flags, "s", "/usr/local/s")
    return InUse(machine, "s", "/usr/local/s"), command


@pytest.mark.parametrize("what", ["size", "nr_inodes"])
def test_a_set_up_without_room(machine: Machine, place: Path, what: str) -> None:
    scene = Scene(machine)
    _, command = small(machine, place)
    most = {"size": 1600, "nr_inodes": 420}[what]
    failed = 0
    for number in range(RUNS):
        room = most * (number + 1) // (RUNS + 1)
        mount(place, f"{what}={room}{'k' if what == 'size' else ''}")
        result = machine.run(*command)
        if result.returncode:
            failed += 1
            assert result.returncode == 1, result.stderr
            said, to_do = two_lines(result)
            assert "No space left" in said, said
            assert re.match("Free (space|inodes)", to_do), to_do
            assert not list(place.glob("wrapper/*"))
        subprocess.run(["mount", "-o", f"remount,{what}={most * 20}{'k' if what == 'size' else ''}", place], check=True)  # fmt: skip
        again = machine.run(*command)
        assert again.returncode == 0 or "exists already" in again.stderr, again.stderr
        assert (place / "wrapper/emerge-prefix-s").exists()
        machine.ok(sys.executable, "-m", "flatcar_prefix", "uninstall", "s")
        assert not [path for path in place.glob("*/*") if path.name != "locks"], room
        subprocess.run(["umount", place], check=True)
        scene.check()
    assert failed > RUNS / 3


def test_a_removal_on_a_full_disk(machine: Machine, place: Path) -> None:
    scene = Scene(machine)
    mount_loop(place, 8)
    _, command = small(machine, place)
    machine.ok(*command)
    with (place / "fill").open("wb") as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"\0" * 4096)
            file.flush()
    machine.ok(sys.executable, "-m", "flatcar_prefix", "uninstall", "s")
    assert sorted(path.name for path in place.iterdir()) == ["fill", "lost+found", "wrapper"]
    scene.check()


@pytest.mark.parametrize("verb", ["uninstall", "update", "wrappers", "force"])
def test_a_disk_that_is_read_only(machine: Machine, place: Path, verb: str) -> None:
    scene = Scene(machine)
    mount(place, "size=16m")
    _, command = small(machine, place)
    machine.ok(*command)
    if verb == "wrappers":
        (place / "wrapper/emerge-prefix-s-amd64-usr").unlink()
    again = [*command, "--force"] if verb == "force" else [sys.executable, "-m", "flatcar_prefix", verb, "s"]  # fmt: skip
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    result = machine.run(*again)
    assert result.returncode == 1, result.stdout
    said, to_do = two_lines(result)
    assert "Read-only file system" in said or "not writable" in said
    assert "writable" in to_do or "--wrapper-dir" in to_do
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)
    machine.ok(*again)
    scene.check()
