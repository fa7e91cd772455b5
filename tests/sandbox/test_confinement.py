# SPDX-License-Identifier: BSD-3-Clause
"""An ebuild cannot change the machine, in any phase and in any way."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import escapes
import pytest
from machine import InUse, Machine, Overlay, snapshot
from ordinary import reaching_python
from tooling import ORDINARY

from flatcar_prefix.system.python import hidden_from_others

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_namespaces]

PHASES = ("pkg_setup", "src_compile", "src_install", "pkg_postinst")


@pytest.fixture
def aims(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the targets of the ways on this machine."""
    mark = f"flatcar-prefix-{os.getpid()}"
    with ExitStack() as stack:
        # A build does not see the directories of tests below /tmp.
        outside = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/lib")))
        (outside / "file").write_text("mine\n")
        for place in (Path("/tmp") / mark, Path("/dev/shm") / mark):
            place.write_text("mine\n")
            stack.callback(place.unlink)
        servers = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket()]
        servers[0].bind(f"\0{mark}")
        servers[1].bind(str(tmp_path / "socket"))
        servers[2].bind(("127.0.0.1", 0))
        for server in servers:
            server.listen()
            stack.callback(server.close)
        libc = ctypes.CDLL(None)
        segment = libc.shmget(0, 4096, 0o1600)
        stack.callback(libc.shmctl, segment, 0, None)
        disk = os.stat("/").st_dev
        yield {
            "outside": str(outside), "tmp": str(tmp_path), "mark": mark, "abstract": mark,
            "pid": str(os.getpid()), "port": str(servers[2].getsockname()[1]),
            "disk": f"{os.major(disk)} {os.minor(disk)}", "shm": f" {segment} ",
            "host": os.uname().nodename,
        }  # fmt: skip


def machine_state(aims: dict[str, str]) -> dict[str, str]:
    outside = Path(aims["outside"])
    seen = snapshot(outside)
    seen["times"] = f"{(outside / 'file').stat().st_mtime_ns}"
    seen["core"] = Path("/proc/sys/kernel/core_pattern").read_text()
    for directory in ("/usr/local", "/etc", "/tmp", "/dev/shm", "/sys/fs/cgroup"):
        names = [name for name in os.listdir(directory) if "escaped" in name]
        seen[directory] = " ".join(names)
    return seen


def test_no_phase_changes_the_machine(
    empty_prefix: InUse, overlay: Overlay, aims: dict[str, str]
) -> None:
    body = "".join(
        f'{phase}() {{\n{escapes.phase(aims)}\necho "tried all in {phase}"\n}}\n'
        for phase in PHASES
    )
    overlay.ebuild("test-confined/escape-1", body, files={"handle.py": escapes.HANDLE})
    before = machine_state(aims)
    result = empty_prefix.install("test-confined/escape", "--quiet-build=n")
    said = result.stdout + result.stderr
    assert not re.findall("^ESCAPED .*", said, re.MULTILINE)
    for phase in PHASES:
        assert f"tried all in {phase}" in said
    assert machine_state(aims) == before


def test_phases_work_without_the_variables_that_eapi_9_does_not_export(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    """Portage passes them in a file, which it removes in the phase."""
    overlay.ebuild("test-confined/nine-1", 'pkg_postinst() { elog "in ${ROOT}"; }\n')
    killed = empty_prefix.staging_dir / "tmp/portage/portage-tmpdir-1-killed"
    killed.mkdir(parents=True)
    env = {"PORTAGE_DO_NOT_EXPORT_PMS_VARS": "1"}
    for _ in range(2):  # The second installation removes the first one, in other phases.
        result = empty_prefix.install("test-confined/nine", env=env)
        said = result.stdout + result.stderr
        assert f"in {empty_prefix.final_dir}/root" in said
        assert "ERROR" not in said and "cannot remove" not in said
    empty_prefix.install("--unmerge", "test-confined/nine", env=env)
    assert not list(empty_prefix.staging_dir.rglob("portage-tmpdir-*"))


def test_the_ways_work_where_nothing_confines_them(
    empty_prefix: InUse, overlay: Overlay, aims: dict[str, str]
) -> None:
    """Otherwise the test above would prove nothing."""
    harmless = {"absolute-path", "overwrite", "symlink", "hard-link", "kill", "dot-dot",
                "abstract-socket", "path-socket", "network", "dev-shm", "tmp", "sysv-ipc",
                "chmod", "utime", "open-by-handle"}  # fmt: skip
    tries = "\n".join(
        f"( {way.format(**aims)} ) && echo ESCAPED {name}"
        for name, way in escapes.WAYS.items()
        if name in harmless
    )
    overlay.ebuild(
        "test-confined/free-1",
        f"src_install() {{\n{tries}\ntrue\n}}",
        files={"handle.py": escapes.HANDLE},
    )
    result = empty_prefix.install(
        "--stage",
        "test-confined/free",
        env={
            "FLATCAR_PREFIX_CONFINE": "no",
            "FEATURES": "-network-sandbox -ipc-sandbox -pid-sandbox",
        },
    )
    found = set(re.findall("^ESCAPED (.*)", result.stdout + result.stderr, re.MULTILINE))
    assert found == harmless


def test_metadata_cannot_write_either(
    empty_prefix: InUse, overlay: Overlay, aims: dict[str, str]
) -> None:
    overlay.ebuild("test-confined/depend-1", f'echo x >"{aims["outside"]}/depend"')
    result = empty_prefix.emerge("--pretend", "test-confined/depend")
    assert "Read-only file system" in result.stdout + result.stderr
    assert os.listdir(aims["outside"]) == ["file"]


def test_a_forgotten_destdir_is_an_error_with_path_package_and_phase(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    body = "src_install() {\n\tmkdir /usr/local/share/forgotten || die\n}"
    overlay.ebuild("test-confined/forgotten-1", body)
    result = empty_prefix.emerge("test-confined/forgotten")
    said = result.stdout + result.stderr
    assert result.returncode == 1
    wrote = "test-confined/forgotten-1 wrote to /usr/local/share/forgotten in its install phase"
    assert wrote in said
    assert not Path("/usr/local/share/forgotten").exists()


def test_a_refused_write_that_the_ebuild_ignores_is_a_notice(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    body = """
        pkg_setup() { mkdir /usr/local/share/at-first; }
        src_compile() { mkdir /usr/local/share/careless; }
        src_install() {
            insinto /usr/share/confined
            newins - careless <<<text
            mkdir /usr/local/share/careless
        }
    """
    overlay.ebuild("test-confined/careless-1", body)
    result = empty_prefix.install("--stage", "test-confined/careless")
    said = result.stdout + result.stderr
    assert "test-confined/careless-1 wrote to paths that are not its own" in said
    for phase, name in (("setup", "at-first"), ("compile", "careless"), ("install", "careless")):
        assert re.search(f"QA Notice: {phase} phase: .*/usr/local/share/{name}.*Read-only", said)
    assert not Path("/usr/local/share/careless").exists()


def test_what_is_in_staging_runs_at_its_eprefix(empty_prefix: InUse, overlay: Overlay) -> None:
    overlay.ebuild(
        "test-confined/helper-1",
        """
        src_install() {
            insinto /usr/share/confined
            newins - helper <<<'echo ran at ${0}'
        }
        """,
    )
    overlay.ebuild(
        "test-confined/runs-1",
        """
        src_configure() {
            bash "${EPREFIX}"/usr/share/confined/helper >said || die
        }
        src_install() {
            insinto /usr/share/confined
            doins said
        }
        pkg_postinst() {
            [[ ${ROOT} != */__prefix__/* || ! -e ${EPREFIX}/usr/share/confined/helper ]] || die
        }
        """,
        depend="test-confined/helper",
    )
    empty_prefix.install("test-confined/runs")
    said = (empty_prefix.final / "usr/share/confined/said").read_text()
    assert said == f"ran at {empty_prefix.eprefix}/usr/share/confined/helper\n"
    assert not Path(empty_prefix.eprefix).exists()


def test_a_package_can_be_left_unconfined(
    empty_prefix: InUse, overlay: Overlay, aims: dict[str, str]
) -> None:
    body = f'src_install() {{\n\techo x >"{aims["outside"]}/asked" || die\n}}'
    overlay.ebuild("test-confined/trusted-1", body)
    config = empty_prefix.config("staging")
    (config / "env/unconfined").write_text('FLATCAR_PREFIX_CONFINE="no"\n')
    (config / "package.env").mkdir(exist_ok=True)
    (config / "package.env/trusted").write_text("test-confined/trusted unconfined\n")
    empty_prefix.install("--stage", "test-confined/trusted")
    assert sorted(os.listdir(aims["outside"])) == ["asked", "file"]


def test_an_ordinary_user_is_confined_too(tmp_path: Path, aims: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir="/var/lib") as base:
        machine = Machine(Path(base) / "machine")
        overlay = Overlay(machine.base / "overlay", "own-overlay")
        outside = Path(base) / "outside"
        outside.mkdir()
        (outside / "file").write_text("mine\n")
        body = escapes.phase({**aims, "outside": str(outside)})
        overlay.ebuild(
            "test-confined/escape-1",
            f'src_compile() {{\n{body}\necho "tried all in ${{EUID}}"\n}}',
            files={"handle.py": escapes.HANDLE},
        )
        for path in (Path(base), *Path(base).rglob("*")):
            os.chown(path, ORDINARY, ORDINARY)
        command = machine.setup_command(
            "--bootstrap=none", f"--custom_ebuild_overlays={overlay.path}", "own", "/usr/local/own"
        )
        machine.ok(*reaching_python(*command))
        before = snapshot(outside)
        emerge = InUse(machine, "own", "/usr/local/own").wrapper("emerge")
        result = machine.ok(
            *reaching_python(emerge, "--quiet-build=n", "test-confined/escape"), cwd=base
        )
        said = result.stdout + result.stderr
        assert f"tried all in {ORDINARY}" in said
        assert not re.findall("^ESCAPED .*", said, re.MULTILINE)
        assert snapshot(outside) == before


@pytest.mark.parametrize("encoding", ["C.UTF-8", "POSIX"])
def test_the_ebuild_command_is_confined_too(
    empty_prefix: InUse, overlay: Overlay, aims: dict[str, str], encoding: str
) -> None:
    body = f'src_compile() {{\n\techo x >"{aims["outside"]}/by-ebuild" && echo ESCAPED\ntrue\n}}'
    overlay.ebuild("test-confined/phase-1", body)
    ebuild = overlay.path / "test-confined/phase/phase-1.ebuild"
    run = empty_prefix.machine.run
    result = run(
        empty_prefix.wrapper("ebuild"), ebuild, "clean", "compile", env={"LC_ALL": encoding}
    )
    assert result.returncode == 0, result.stderr
    assert "Read-only file system" in result.stdout + result.stderr
    assert os.listdir(aims["outside"]) == ["file"]


def test_warming_the_cache_is_confined_too(
    empty_prefix: InUse, overlay: Overlay, aims: dict[str, str]
) -> None:
    overlay.ebuild("test-confined/warmed-1", f'echo x >"{aims["outside"]}/warmed" || true')
    result = empty_prefix.machine.fp("regen", "empty")
    assert "Read-only file system" in result.stdout + result.stderr
    assert os.listdir(aims["outside"]) == ["file"]


@pytest.mark.skipif(hidden_from_others() is not None, reason="other users cannot reach Python")
def test_roots_builds_run_as_nobody_and_install_as_root() -> None:
    with tempfile.TemporaryDirectory(dir="/var/lib") as base:
        Path(base).chmod(0o755)
        machine = Machine(Path(base) / "machine")
        overlay = Overlay(machine.base / "overlay", "priv-overlay")
        overlay.ebuild(
            "test-confined/who-1",
            """
            src_compile() {
                id -un >who || die
            }
            src_install() {
                id -un >>who || die
                insinto /usr/share/confined
                doins who
            }
            """,
        )
        who = machine.setup("who", f"--custom_ebuild_overlays={overlay.path}")
        assert "user nobody" in machine.fp("show", "who").stdout
        who.install("test-confined/who")
        file = who.final / "usr/share/confined/who"
        assert file.read_text() == "nobody\nroot\n"
        assert (file.stat().st_uid, file.stat().st_gid) == (0, 0)


@pytest.mark.needs_root
def test_the_supervisor_of_a_phase_sees_no_mount_of_it() -> None:
    """Up to Portage 3.0.70, both are in one mount namespace when the phase is confined."""
    code = """
import os
from flatcar_prefix.sandbox import confinement, private_directories
from flatcar_prefix.system import namespace
before = open("/proc/self/mountinfo").read()
child = os.fork()
if child == 0:
    confinement.begin(env={}, offline=False)
    namespace.make_private()
    private_directories.tmpfs("/tmp", mode="1777")
    assert " /tmp " in open("/proc/self/mountinfo").read()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert open("/proc/self/mountinfo").read() == before
"""
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
