# SPDX-License-Identifier: BSD-3-Clause
"""The stages of a bootstrap: killed, failing, chosen, run again, brought up to date.

The packages of the stages are stand-ins that install one file each and, when told so,
wait to be killed or fail; the stages, the record and Portage are real.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from machine import InUse, Machine, two_lines

pytestmark = pytest.mark.needs_root

STAND_IN = """\
# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Stands in for a package of the bootstrap"
S="${{WORKDIR}}"
LICENSE="BSD"
SLOT="{slot}"
KEYWORDS="amd64 arm64"
RDEPEND="{rdepend}"

at() {{
	local name="{orders}/${{1}}-${{PN}}"
	if [[ -e ${{name}}.fail ]]; then
		die "this was to fail"
	elif [[ -e ${{name}}.hold ]]; then
		touch "${{name}}.reached"
		sleep 300
	fi
}}

src_install() {{
	at build
	insinto /usr/share/stand-in
	newins - "${{PN}}" <<<"${{PV}}"
}}

pkg_preinst() {{
	case ${{ROOT}} in */build/*) at staging ;; *) at final ;; esac
}}

pkg_postinst() {{
	case ${{ROOT}} in */build/*) at merged ;; esac
}}
"""

PACKAGES = {
    "prefix-toolchain/sys-apps/baselayout-1": ("0", ""),
    "prefix-toolchain/sys-kernel/linux-headers-6.1": ("0", ""),
    "prefix-toolchain/sys-libs/glibc-2.36": ("2.2", ""),
    "prefix-toolchain/prefix/gcc-runtime-1": ("0", ""),
    "gentoo-subset/sys-apps/grep-3.8": ("0", ""),
    "prefix-overlay/prefix/prefix-final-1": (
        "0",
        "prefix/gcc-runtime sys-apps/baselayout virtual/libc",
    ),
}

STAGES = ["baselayout", "os-headers", "libc", "runtime", "system", "final"]


class Bootstrap:
    """A machine whose packages of the bootstrap are stand-ins, and one prefix of it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.orders = machine.base / "orders"
        self.orders.mkdir()
        self.prefix = InUse(machine, "boot", "/usr/local/boot")
        for name, (slot, rdepend) in PACKAGES.items():
            self.stand_in(name, slot=slot, rdepend=rdepend)
        libc = machine.repos / "prefix-toolchain/virtual/libc/libc-2.ebuild"
        # Without gcc's runtime, so that this comes in its own stage.
        libc.write_text(libc.read_text().replace("\tprefix/gcc-runtime\n", ""))
        packages = machine.repos / "gentoo-subset/profiles/base/packages"
        packages.write_text(packages.read_text() + "*sys-apps/grep\n")

    def stand_in(self, name: str, *, slot: str, rdepend: str = "", keep: bool = False) -> None:
        """Write ``repository/category/name-version``, in place of what is there or beside it."""
        pn, _, version = name.rpartition("-")
        directory = self.machine.repos / pn
        for old in () if keep else [*directory.glob("*.ebuild"), *directory.glob("Manifest")]:
            old.unlink()
        text = STAND_IN.format(slot=slot, rdepend=rdepend, orders=self.orders)
        (directory / f"{directory.name}-{version}.ebuild").write_text(text)

    @property
    def command(self) -> list[str]:
        return self.machine.setup_command("boot", "/usr/local/boot")

    @property
    def record(self) -> dict[str, object]:
        path = self.prefix.staging_dir / "flatcar-prefix.json"
        loaded: dict[str, object] = json.loads(path.read_text())
        return loaded

    def order(self, what: str) -> Path:
        """Let a package wait (``<phase>-<name>.hold``) or fail (``….fail``)."""
        path = self.orders / what
        path.touch()
        return path

    def kill_at(self, place: str) -> None:
        """Run the set-up and kill all of its processes at once when it has come to a place."""
        order = self.order(f"{place}.hold")
        reached = self.orders / f"{place}.reached"
        reached.unlink(missing_ok=True)
        output = (self.machine.base / "killed.log").open("w")
        with output, subprocess.Popen(
            self.command, env=self.machine.environment(), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        ) as child:  # fmt: skip
            until = time.monotonic() + 120
            while not reached.exists():
                assert child.poll() is None, (self.machine.base / "killed.log").read_text()
                assert time.monotonic() < until, f"it never came to {place}"
                time.sleep(0.05)
            for pid in descendants(child.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        order.unlink()

    def assert_complete(self) -> None:
        assert self.record["complete"] is True
        assert self.record["stages_done"] == STAGES
        every = {
            "sys-apps/baselayout-1", "sys-libs/glibc-2.36", "virtual/libc-2",
            "prefix/gcc-runtime-1", "prefix/prefix-final-1",
        }  # fmt: skip
        assert every <= self.prefix.installed("final")
        more = {"sys-kernel/linux-headers-6.1", "virtual/os-headers-0", "sys-apps/grep-3.8"}
        assert every | more <= self.prefix.installed("staging")
        assert self.prefix.installed("final").isdisjoint(more)
        for kind in ("staging", "final"):
            vdb = self.prefix.eroot(kind) / "var/db/pkg"
            assert not list(vdb.glob("*/-MERGING-*"))
        assert self.prefix.wrapper("emerge").exists()


def descendants(pid: int) -> list[int]:
    """Return a process and all below it, itself first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Bootstrap:
    """A bootstrap that is killed in every stage, completed, and then brought up to date."""
    return Bootstrap(Machine(tmp_path_factory.mktemp("killed") / "machine"))


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Bootstrap:
    """A bootstrap that fails in stage after stage."""
    return Bootstrap(Machine(tmp_path_factory.mktemp("failing") / "machine"))


def test_killed_in_every_stage_the_same_command_completes_it(killed: Bootstrap) -> None:
    """With everything it has started, one stage after the other."""
    places = {
        "baselayout": "build-baselayout",
        "os-headers": "merged-linux-headers",
        "libc": "staging-glibc",
        "runtime": "build-gcc-runtime",
        "system": "staging-grep",
        "final": "final-prefix-final",
    }
    for stage, place in places.items():
        killed.kill_at(place)
        done = killed.record["stages_done"]
        assert isinstance(done, list)
        assert stage not in done
        assert done == STAGES[: len(done)]
        assert not killed.prefix.wrapper("emerge").exists()
    logs = sorted(killed.prefix.staging_dir.glob("logs/sys-libs:glibc*"))
    said = killed.machine.ok(*killed.command).stdout
    assert "stage 1 of 1, final" in said
    assert sorted(killed.prefix.staging_dir.glob("logs/sys-libs:glibc*")) == logs
    killed.assert_complete()


class TestUpdate:
    """After the above, of the prefix that it has left."""

    def test_one_that_fails_says_so_and_can_be_repeated(self, killed: Bootstrap) -> None:
        killed.machine.ok(*killed.command) if not killed.prefix.wrapper("emerge").exists() else None
        killed.stand_in("prefix-toolchain/sys-libs/glibc-2.37", slot="2.2", keep=True)
        order = killed.order("build-glibc.fail")
        said = killed.machine.fp("update", "boot")
        assert said.returncode == 1
        what = two_lines(said)[0]
        assert re.search(r"stage libc failed at package \d of \d, sys-libs/glibc-2.37", what)
        assert "sys-libs/glibc-2.36" in killed.prefix.installed("final")
        order.unlink()

    def test_a_newer_c_library_comes_to_both_roots(self, killed: Bootstrap) -> None:
        updated = killed.machine.fp("update", "boot")
        assert updated.returncode == 0, updated.stderr
        for kind in ("staging", "final"):
            installed = killed.prefix.installed(kind)
            assert "sys-libs/glibc-2.37" in installed
            assert "sys-libs/glibc-2.36" not in installed
        assert killed.record["complete"] is True


@pytest.mark.parametrize(
    ("place", "stage", "cpv"),
    [
        ("build-baselayout", "baselayout", "sys-apps/baselayout-1"),
        ("build-glibc", "libc", "sys-libs/glibc-2.36"),
        ("build-grep", "system", "sys-apps/grep-3.8"),
        ("final-prefix-final", "final", "prefix/prefix-final-1"),
    ],
)
def test_a_failure_names_stage_package_and_log_and_the_next_try_begins_there(
    failing: Bootstrap, place: str, stage: str, cpv: str
) -> None:
    order = failing.order(f"{place}.fail")
    said = failing.machine.run(*failing.command)
    order.unlink()
    assert said.returncode == 1
    what, hint = two_lines(said)
    assert f"stage {stage} failed" in what
    assert cpv in what
    log = Path(what.rpartition("the log is ")[2])
    assert "this was to fail" in log.read_text(errors="replace")
    assert "the same command" in hint
    assert not failing.prefix.wrapper("emerge").exists()
    again = failing.machine.ok(*failing.command, f"--until={stage}").stdout
    assert f"stage 1 of 1, {stage} (" in again
    if stage == "final":
        failing.assert_complete()
    else:
        assert "is not complete; left to do: " in again
        left = again.rpartition("left to do: ")[2].strip().split(", ")
        assert left == STAGES[STAGES.index(stage) + 1 :]
        if stage == "libc":
            # So that the next failure is of a stage that is the first one left.
            failing.machine.ok(*failing.command, "--until=runtime")
        elif stage == "baselayout":
            failing.machine.ok(*failing.command, "--until=os-headers")
            redone = failing.machine.ok(
                *failing.command, "--from=baselayout", "--until=os-headers"
            ).stdout
            assert "stage 2 of 2, os-headers" in redone


@pytest.mark.parametrize("flag", ["--from", "--until"])
def test_an_unknown_stage_is_refused_with_those_there_are(machine: Machine, flag: str) -> None:
    said = machine.run(*machine.setup_command(f"{flag}=nowhere", "boot", "/usr/local/boot"))
    assert said.returncode == 2
    what, hint = two_lines(said)
    assert "nowhere" in what
    assert all(stage in hint for stage in STAGES)
    assert not machine.staging("boot").exists()
