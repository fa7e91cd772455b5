# SPDX-License-Identifier: BSD-3-Clause
"""The stages of a bootstrap: killed, failing, chosen, run again, updated.

The packages of the stages are stand-ins that install one file each. On request, they fail, or
wait to be killed. The stages, the record and Portage are real.
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
from machine import InUse, Machine, descendants, two_lines

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
    "prefix-toolchain/sys-apps/baselayout-99": ("0", ""),
    "prefix-toolchain/sys-kernel/linux-headers-6.1": ("0", ""),
    "prefix-toolchain/sys-libs/glibc-2.36": ("2.2", ""),
    "prefix-toolchain/prefix/gcc-runtime-1": ("0", ""),
    "prefix-toolchain/prefix/nss-modules-1": ("0", ""),
    "gentoo-subset/sys-apps/grep-3.8": ("0", ""),
    "prefix-overlay/prefix/prefix-final-1": (
        "0",
        "prefix/gcc-runtime sys-apps/baselayout virtual/libc",
    ),
}

STAGES = ["baselayout", "os-headers", "libc", "runtime", "system", "final"]


class Bootstrap:
    """A machine with stand-ins for the packages of the bootstrap, and one prefix of it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        # The stand-ins read and write the orders, outside of what a build may write.
        machine.variables["FLATCAR_PREFIX_CONFINE"] = "no"
        self.orders = machine.base / "orders"
        self.orders.mkdir()
        self.prefix = InUse(machine, "boot", "/usr/local/boot")
        for name, (slot, rdepend) in PACKAGES.items():
            self.stand_in(name, slot=slot, rdepend=rdepend)
        packages = machine.repos / "gentoo-subset/profiles/base/packages"
        packages.write_text(packages.read_text() + "*sys-apps/grep\n")

    def stand_in(self, name: str, *, slot: str, rdepend: str = "", keep: bool = False) -> None:
        """Write ``repository/category/name-version``, in place of other versions or next to them."""
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
        """Make a package wait (``<phase>-<name>.hold``) or fail (``….fail``)."""
        path = self.orders / what
        path.touch()
        return path

    def kill_at(self, place: str) -> None:
        """Run the set-up, and kill all its processes at once when it reaches ``place``."""
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
                assert time.monotonic() < until, f"it did not reach {place}"
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
            "sys-apps/baselayout-99", "sys-libs/glibc-2.36", "virtual/libc-2",
            "prefix/gcc-runtime-1", "prefix/nss-modules-1", "prefix/prefix-final-1",
        }  # fmt: skip
        assert every <= self.prefix.installed("final")
        more = {"sys-kernel/linux-headers-6.1", "virtual/os-headers-0", "sys-apps/grep-3.8"}
        assert every | more <= self.prefix.installed("staging")
        assert self.prefix.installed("final").isdisjoint(more)
        for kind in ("staging", "final"):
            vdb = self.prefix.eroot(kind) / "var/db/pkg"
            assert not list(vdb.glob("*/-MERGING-*"))
        assert self.prefix.wrapper("emerge").exists()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Bootstrap:
    """A bootstrap that is killed in every stage, completed, and then updated."""
    return Bootstrap(Machine(tmp_path_factory.mktemp("killed") / "machine"))


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Bootstrap:
    """A bootstrap that fails in stage after stage."""
    return Bootstrap(Machine(tmp_path_factory.mktemp("failing") / "machine"))


@pytest.mark.e2e
def test_killed_in_every_stage_the_same_command_completes_it(killed: Bootstrap) -> None:
    """Each stage is killed with all processes that it started."""
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


@pytest.mark.e2e
class TestUpdate:
    """This test uses the prefix of the test above."""

    def test_one_that_fails_says_so_and_can_be_repeated(self, killed: Bootstrap) -> None:
        killed.machine.ok(*killed.command) if not killed.prefix.wrapper("emerge").exists() else None
        killed.stand_in("prefix-toolchain/sys-libs/glibc-2.37", slot="2.2", keep=True)
        order = killed.order("build-glibc.fail")
        said = killed.machine.fp("update", "boot")
        assert said.returncode == 1
        what = two_lines(said)[0]
        assert re.search(r"stage libc failed: sys-libs/glibc-2.37, phase \w+: ", what)
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


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("place", "stage", "cpv"),
    [
        pytest.param(
            "build-baselayout", "baselayout", "sys-apps/baselayout-99", marks=pytest.mark.e2e
        ),
        ("build-glibc", "libc", "sys-libs/glibc-2.36"),
        pytest.param("build-grep", "system", "sys-apps/grep-3.8", marks=pytest.mark.e2e),
        pytest.param("final-prefix-final", "final", "prefix/prefix-final-1", marks=pytest.mark.e2e),
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
        left = again.rpartition("left to do: ")[2].splitlines()[0].split(", ")
        assert left == STAGES[STAGES.index(stage) + 1 :]
        if stage == "libc":
            # The next failure must be in the first remaining stage.
            failing.machine.ok(*failing.command, "--until=runtime")
        elif stage == "baselayout":
            failing.machine.ok(*failing.command, "--until=os-headers")
            redone = failing.machine.ok(
                *failing.command, "--from=baselayout", "--until=os-headers"
            ).stdout
            assert "stage 2 of 2, os-headers" in redone


@pytest.mark.e2e
def test_what_was_begun_goes_on_and_what_is_chosen_is_done_again(failing: Bootstrap) -> None:
    """This test uses the complete prefix of the test above."""
    assert failing.record["complete"] is True
    logs = failing.prefix.staging_dir / "logs"
    before = {name: len([*logs.glob(f"{name}-[0-9]*")]) for name in ("sys-libs:glibc", "prefix:*")}
    assert before["sys-libs:glibc"] > 0
    record = failing.prefix.staging_dir / "flatcar-prefix.json"
    unfinished = {**failing.record, "complete": False, "stages_done": STAGES[:-1]}
    record.write_text(json.dumps(unfinished))
    failing.machine.ok(*failing.command, "--from=libc", "--until=libc")
    assert len([*logs.glob("sys-libs:glibc-[0-9]*")]) == before["sys-libs:glibc"] + 1
    assert len([*logs.glob("prefix:*-[0-9]*")]) == before["prefix:*"]
    failing.machine.ok(*failing.command)
    failing.assert_complete()


def test_a_stage_before_which_something_is_left_to_do_is_refused(machine: Machine) -> None:
    command = machine.setup_command("--from=runtime", "--until=runtime", "boot", "/usr/local/boot")
    said = machine.run(*command)
    assert said.returncode == 2
    what, hint = two_lines(said)
    assert what.endswith(
        "stage runtime cannot be the first: earlier stages are not done: baselayout, os-headers, libc"
    )
    assert "--from baselayout" in hint
    assert not machine.staging("boot").exists()


def test_a_last_stage_that_comes_before_the_first_is_refused(machine: Machine) -> None:
    command = machine.setup_command("--from=system", "--until=libc", "boot", "/usr/local/boot")
    said = machine.run(*command)
    assert said.returncode == 2
    what, hint = two_lines(said)
    assert "stage system comes after stage libc" in what
    assert "baselayout, os-headers, libc, runtime, system, final" in hint
    assert not machine.staging("boot").exists()


@pytest.mark.e2e
class TestWithGcc:
    """``--with-gcc`` with a checkout that has gcc."""

    @pytest.mark.parametrize("keywords", [None, "~amd64 ~arm64", "-* x86"])
    def test_without_one_that_can_be_built_nothing_is_begun(
        self, machine: Machine, keywords: str | None
    ) -> None:
        if keywords is not None:
            self.gcc(machine, keywords)
        before = sorted(machine.base.rglob("*"))
        said = machine.try_setup("--with-gcc", "boot", "/usr/local/boot")
        assert said.returncode == 1
        what, hint = two_lines(said)
        assert "sys-devel/gcc" in what
        assert "--with-gcc" in hint
        made = {path for path in machine.base.rglob("*") if path not in before}
        # A lock, and the directory that it is in.
        assert [path for path in made if not path.is_relative_to(machine.base / "state")] == []

    def test_staging_has_it_and_both_roots_the_toolchains_runtime(self, machine: Machine) -> None:
        boot = Bootstrap(machine)
        self.gcc(machine, "amd64 arm64")
        machine.ok(*boot.command, "--with-gcc")
        boot.assert_complete()
        assert "sys-devel/gcc-12" in boot.prefix.installed("staging")
        assert "sys-devel/gcc-12" not in boot.prefix.installed("final")
        log = (boot.prefix.staging_dir / "logs/bootstrap-runtime.log").read_text()
        order = re.findall(r"Emerging .* (\S+)::", log)
        assert order == ["prefix/gcc-runtime-1", "virtual/libc-2", "sys-devel/gcc-12"]

    def gcc(self, machine: Machine, keywords: str) -> None:
        directory = machine.repos / "gentoo-subset/sys-devel/gcc"
        directory.mkdir(parents=True)
        text = STAND_IN.format(slot="12", rdepend="", orders=machine.base)
        text = text.replace('KEYWORDS="amd64 arm64"', f'KEYWORDS="{keywords}"')
        (directory / "gcc-12.ebuild").write_text(text)
        categories = machine.repos / "gentoo-subset/profiles/categories"
        if "sys-devel" not in categories.read_text().split():
            categories.write_text(categories.read_text() + "sys-devel\n")


WANTED = """\
EAPI=8
DESCRIPTION="What the C library wants at run time, linked with it"
S="${{WORKDIR}}"
LICENSE="BSD"
SLOT="0"
KEYWORDS="amd64 arm64"
IUSE="build"
src_compile() {{
	local -x LC_ALL=C
	echo 'int main(void) {{ return 0; }}' > wanted.c || die
	set -- ${{CC}} ${{CFLAGS}} ${{LDFLAGS}} wanted.c -Wl,--trace -o wanted
	"$@" > linked || die "it cannot be linked"
}}
src_install() {{
	exeinto /usr/share/wanted
	newexe wanted {name}
	insinto /usr/share/wanted
	newins linked {name}.linked
	newins - {name}.build < <(usev build)
}}
"""


@pytest.mark.e2e
class TestSourceWithDependenciesOfTheLibraryItself:
    """Like Gentoo's glibc, it depends on a package that links with it. An ebuild packages the
    toolchain's C library, and links a program before the library is installed."""

    def write(self, machine: Machine) -> None:
        prefix = machine.repos / "prefix-toolchain"
        imported = (prefix / "prefix/imported-libc/imported-libc-1-r1.ebuild").read_text()
        glibc = imported.replace("!sys-libs/glibc", "sys-libs/wanted")
        glibc = glibc.replace('SLOT="0"', 'SLOT="2.2"').replace('IUSE="', 'IUSE="build ')
        own = WANTED.format(name="glibc")
        own = own[own.index("src_compile") :].replace("src_install() {", "wanted_install() {")
        glibc = glibc.replace("src_install() {", f"{own}\nsrc_install() {{\n\twanted_install\n", 1)
        self.ebuild(prefix, "sys-libs/glibc", "2.36", glibc)
        self.ebuild(prefix, "sys-libs/wanted", "1", WANTED.format(name="wanted"))
        layout = STAND_IN.format(slot="0", rdepend="", orders=machine.base)
        layout = layout.replace("RDEPEND", "IUSE=build\nRDEPEND").replace("at build", (
            "keepdir /{bin,lib,sbin,lib64} /usr/{bin,include,lib64}; insinto /usr/share/wanted;"
            " newins - baselayout.build < <(usev build)"
        ))  # fmt: skip
        self.ebuild(prefix, "sys-apps/baselayout", "1", layout)

    def ebuild(self, repository: Path, package: str, version: str, text: str) -> None:
        directory = repository / package
        directory.mkdir(parents=True, exist_ok=True)
        for old in [*directory.glob("*.ebuild"), *directory.glob("Manifest")]:
            old.unlink()
        (directory / f"{directory.name}-{version}.ebuild").write_text(text)

    def test_all_is_linked_with_what_there_is_then(self, machine: Machine) -> None:
        self.write(machine)
        # The stand-in's library searches for its files on its original machine.
        machine.variables["FLATCAR_PREFIX_QA"] = "warn"
        command = machine.setup_command("--until=runtime", "boot", "/usr/local/boot")
        machine.ok(*command)
        prefix = InUse(machine, "boot", "/usr/local/boot")
        assert {"sys-libs/wanted-1", "prefix/gcc-runtime-1", "virtual/libc-2"} <= prefix.installed(
            "staging"
        )
        installed = prefix.staging / "usr/share/wanted"
        own = os.fspath(prefix.staging)
        assert own not in (installed / "glibc.linked").read_text()
        with_libc = (installed / "wanted.linked").read_text()
        assert f"{own}/usr/lib64/Scrt1.o" in with_libc
        assert f"{own}/lib64/libc.so.6" in with_libc
        assert (
            b"/usr/local/boot/lib64/ld-linux-x86-64.so.2\0" in (installed / "wanted").read_bytes()
        )
        said = {name: (installed / f"{name}.build").read_text().strip() for name in (
            "baselayout", "glibc", "wanted"
        )}  # fmt: skip
        assert said == {"baselayout": "build", "glibc": "", "wanted": ""}


@pytest.mark.e2e
def test_without_setpriv_it_ends_with_its_set_up_all_the_same(machine: Machine) -> None:
    """util-linux may lack this program, depending on its configuration; the SDK's lacks it."""
    here = machine.base / "programs"
    here.mkdir()
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(directory).glob("*"):
            if program.name not in ("setpriv", "capsh"):
                (here / program.name).unlink(missing_ok=True)
                (here / program.name).symlink_to(program)
    machine.variables["PATH"] = os.fspath(here)
    boot = Bootstrap(machine)
    order = boot.order("build-baselayout.hold")
    with subprocess.Popen(
        boot.command, env=machine.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        until = time.monotonic() + 120
        while not (boot.orders / "build-baselayout.reached").exists():
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        below = descendants(child.pid)
        child.kill()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in below) and time.monotonic() < until:
        time.sleep(0.1)
    assert [pid for pid in below if Path(f"/proc/{pid}").exists()] == []
    order.unlink()
    boot.machine.ok(*boot.command, "--until=os-headers")


@pytest.mark.parametrize("flag", ["--from", "--until"])
def test_an_unknown_stage_is_refused_with_those_there_are(machine: Machine, flag: str) -> None:
    said = machine.run(*machine.setup_command(f"{flag}=nowhere", "boot", "/usr/local/boot"))
    assert said.returncode == 2
    what, hint = two_lines(said)
    assert "nowhere" in what
    assert all(stage in hint for stage in STAGES)
    assert not machine.staging("boot").exists()
