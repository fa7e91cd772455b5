# SPDX-License-Identifier: BSD-3-Clause
"""Each verb that changes a prefix is killed at random moments; the same command completes.

``FLATCAR_PREFIX_RUNS=100 pytest -m e2e tests/reliability`` makes a hundred kills a verb.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import RUNS, TIMEOUT, Scene
from machine import InUse, Machine, Overlay

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(TIMEOUT), pytest.mark.needs_root]


@pytest.fixture
def scene(machine: Machine) -> Scene:
    return Scene(machine)


def command_of(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "flatcar_prefix", *map(str, words)]


def killed(
    scene: Scene, command: list[str], *, prepare: Callable[[], object], runs: int = RUNS
) -> Iterator[bool]:
    """Kill the command again and again; yield after each kill."""
    prepare()
    seconds = scene.seconds(command)
    kills = 0
    for _ in range(3 * runs):
        prepare()
        if scene.kill(command, seconds):
            kills += 1
            yield True
        if kills == runs:
            return
    pytest.fail(f"only {kills} kills of {3 * runs}")


def is_ready(prefix: InUse) -> bool:
    said = prefix.machine.run(prefix.wrapper("portageq"), "envvar", "ARCH")
    return said.stdout == "amd64\n"


def test_set_up(scene: Scene) -> None:
    command = scene.machine.setup_command("--bootstrap=none", "k", "/usr/local/k")
    prefix = InUse(scene.machine, "k", "/usr/local/k")

    def prepare() -> None:
        if prefix.staging_dir.exists():
            scene.machine.ok(*command_of("uninstall", "k"))

    for _ in killed(scene, command, prepare=prepare):
        complete = scene.machine.run(*command)
        assert complete.returncode == 0 or "exists already" in complete.stderr, complete.stderr
        assert is_ready(prefix)
        scene.check(prefix)


def test_recreated(scene: Scene) -> None:
    prefix = scene.machine.setup("k")
    command = scene.machine.setup_command("--bootstrap=none", "--force", "k", "/usr/local/k")
    for _ in killed(scene, command, prepare=lambda: None):
        scene.again(command)
        assert is_ready(prefix)
        scene.check(prefix)


def test_uninstall(scene: Scene) -> None:
    machine = scene.machine
    prefix = machine.setup("k")
    saved = machine.base / "saved"
    places = (prefix.staging_dir, prefix.final_dir, machine.bin)
    for number, place in enumerate(places):
        shutil.copytree(place, saved / str(number), symlinks=True)

    def prepare() -> None:
        for number, place in enumerate(places):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(saved / str(number), place, symlinks=True)

    command = command_of("uninstall", "k")
    for _ in killed(scene, command, prepare=prepare):
        assert "ready" not in "".join(
            line for line in machine.fp("list").stdout.splitlines()
            if line.startswith("k-") and not (machine.bin / "emerge-prefix-k").exists()
        )  # fmt: skip
        done = machine.run(*command)
        assert done.returncode == 0 or "there is no prefix 'k'" in done.stderr, done.stderr
        left = [p for p in (*places[:2], *machine.bin.glob("*-prefix-k*")) if p.exists()]
        assert not left
        scene.check()


@pytest.mark.parametrize("verb", ["wrappers", "overlays", "update"])
def test_a_verb_that_changes(scene: Scene, verb: str) -> None:
    prefix = scene.machine.setup("k")
    overlay = Overlay(scene.machine.base / "overlay", "of-kills")

    def prepare() -> None:
        if verb == "wrappers":
            for path in scene.machine.bin.glob("*-prefix-k*"):
                path.unlink()
        elif verb == "overlays":
            scene.machine.fp("overlays", "k", "remove", "of-kills")

    more = ("add", overlay.path) if verb == "overlays" else ()
    command = command_of(verb, "k", *more)
    for _ in killed(scene, command, prepare=prepare):
        done = scene.machine.run(*command)
        assert done.returncode == 0 or verb == "overlays", done.stderr
        if verb == "overlays":
            assert "of-kills" in scene.machine.fp("overlays", "k").stdout
        assert is_ready(prefix)
        scene.check(prefix)


def test_emerge(scene: Scene) -> None:
    overlay = Overlay(scene.machine.base / "overlay", "of-kills")
    package = overlay.ebuild("app-misc/letter-1")
    prefix = scene.machine.setup("k", f"--custom_ebuild_overlays={overlay.path}")
    command = [str(prefix.wrapper("emerge")), "--quiet", package]

    def prepare() -> None:
        for kind in ("--staging", "--final"):
            scene.machine.run(prefix.wrapper("emerge"), kind, "--quiet", "--unmerge", package)
        shutil.rmtree(prefix.staging_dir / "pkgs/app-misc", ignore_errors=True)

    for _ in killed(scene, command, prepare=prepare):
        scene.again(command)
        for kind in ("staging", "final"):
            assert prefix.installed(kind) == {"app-misc/letter-1"}
        scene.check(prefix)


@pytest.mark.parametrize("form", ["squashfs", "erofs", "ext4", "tar"])
def test_sysext(scene: Scene, form: str) -> None:
    overlay = Overlay(scene.machine.base / "overlay", "of-kills")
    package = overlay.ebuild("app-misc/letter-1")
    prefix = scene.machine.setup("k", f"--custom_ebuild_overlays={overlay.path}")
    prefix.install("--quiet", package)
    output = scene.machine.base / "images"
    output.mkdir()
    image = output / ("k.tar" if form == "tar" else "k.raw")
    command = command_of("sysext", "k", "--no-verify", f"--format={form}", "-o", image)

    def prepare() -> None:
        for path in output.iterdir():
            path.unlink()

    for _ in killed(scene, command, prepare=prepare, runs=max(1, RUNS // 4)):
        scene.again(command)
        names = {path.name for path in output.iterdir()}
        assert all(name.startswith("k.") or name == "SHA256SUMS" for name in names), names
        scene.check(prefix)


def test_verify(scene: Scene) -> None:
    prefix = scene.machine.setup("k")
    command = command_of("verify", "k")
    for _ in killed(scene, command, prepare=lambda: None):
        scene.again(command)
        scene.check(prefix)
