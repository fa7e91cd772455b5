# SPDX-License-Identifier: BSD-3-Clause
"""The view: a tool sees the prefix at its EPREFIX, and nothing outside changes."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine import InUse, Machine, Run, snapshot, two_lines
from tooling import as_ordinary_user, shell

pytestmark = pytest.mark.needs_namespaces

FORBID_UNSHARE = """
import ctypes, errno, os, struct, sys
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW, UNSHARE = 0x00050000, 0x7FFF0000, 272
program = b"".join(
    struct.pack("HBBI", *line)
    for line in [
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, UNSHARE),  # skip one instruction unless it is unshare(2)
        (0x06, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
        (0x06, 0, 0, SECCOMP_RET_ALLOW),
    ]
)
text = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(text)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(22, 2, filter) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Run a command for which unshare(2) fails on x86-64, as in a container with seccomp."""


@pytest.fixture(params=[pytest.param("root", marks=pytest.mark.needs_root), "user"])
def caller(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(caller: str, machine: Machine, *words: str | Path, **options: object) -> Run:
    argv = as_ordinary_user(*words) if caller == "user" else list(words)
    return machine.run(*argv, **options)


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def test_the_prefix_stands_at_its_eprefix_for_both_roots(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    for word, kind in ((), "final"), (("--staging",), "staging"), (("--final",), "final"):
        seen = run(
            caller, viewed.machine, wrapper, *word, "-c", f"cat {viewed.eprefix}/etc/which-root"
        )
        assert seen.stdout == kind, seen.stderr
        assert not seen.stderr


def test_nothing_outside_changes(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    before = mounts(), snapshot(viewed.final_dir, viewed.staging_dir), os.listdir("/usr/local")
    listed = run(caller, viewed.machine, wrapper, "-c", "ls -R $PORTAGE_OVERRIDE_EPREFIX")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert (
        mounts(),
        snapshot(viewed.final_dir, viewed.staging_dir),
        os.listdir("/usr/local"),
    ) == before
    assert not os.path.exists(viewed.eprefix)


def test_portage_finds_its_globals_though_the_prefix_has_none(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    find = f"find {viewed.eprefix} -name make.globals -exec grep -c FETCHCOMMAND {{}} +"
    seen = run(caller, viewed.machine, wrapper, "-c", find)
    assert int(seen.stdout) > 0, seen.stderr
    assert not list(viewed.final.rglob("make.globals"))


@pytest.mark.parametrize("existing", ["share", "share/portage", "usr/share"])
def test_the_globals_are_added_to_directories_that_are_there(
    caller: str, bare: InUse, existing: str
) -> None:
    (bare.final / existing / "mine").mkdir(parents=True)
    (bare.final / existing / "own").write_text("x")
    wrapper = shell(bare)
    script = f"cat {bare.eprefix}/share/portage/config/make.globals {bare.eprefix}/{existing}/own"
    seen = run(caller, bare.machine, wrapper, "-c", script)
    assert seen.returncode == 0, seen.stderr
    assert "FETCHCOMMAND" in seen.stdout


def test_an_existing_directory_at_the_eprefix_is_hidden(caller: str, open_dir: Path) -> None:
    eprefix = open_dir / "stuff"
    eprefix.mkdir()
    (eprefix / "of-the-machine").write_text("x")
    prefix = Machine(open_dir / "machine").setup("here", eprefix=str(eprefix))
    wrapper = shell(prefix)
    assert run(caller, prefix.machine, wrapper, "-c", f"ls {eprefix}").stdout.split() == [
        "etc", "share", "var",
    ]  # fmt: skip
    assert os.listdir(eprefix) == ["of-the-machine"]


def test_neighbours_with_any_names_stay_what_they_are(caller: str, open_dir: Path) -> None:
    place = open_dir / "place"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    names = [
        "plain",
        "with space",
        "tab\there",
        "new\nline",
        "back\\slash",
        ".hidden",
        "#1",
        "-n",
        "*",
    ]
    for name in names:
        (place / name).mkdir()
        (place / name).chmod(0o777)
        (place / name / "inside").write_text(name)
    (place / "file").write_text("a file")
    (place / "link").symlink_to("file")
    prefix = Machine(open_dir / "machine").setup("inner", eprefix=f"{place}/deep/er/prefix")
    wrapper = shell(prefix)
    script = 'for d in "$@"; do cat "$d/inside"; echo changed > "$d/inside2"; done; cat file link'
    seen = run(
        caller, prefix.machine, wrapper, "-c", script, "sh", *(f"./{n}" for n in names), cwd=place
    )
    assert seen.stdout == "".join(names) + "a file" * 2, seen.stderr
    assert all((place / n / "inside2").read_text() == "changed\n" for n in names)
    assert not (place / "deep").exists()


@pytest.mark.needs_root
def test_what_is_mounted_beside_the_prefix_stays_mounted(viewed: InUse, open_dir: Path) -> None:
    place = open_dir / "place"
    (place / "mounted").mkdir(parents=True)
    prefix = Machine(open_dir / "other").setup("beside", eprefix=f"{place}/prefix")
    wrapper = shell(prefix)
    script = f"mount -t tmpfs none {place}/mounted && echo yes > {place}/mounted/file && exec {wrapper} -c 'cat {place}/mounted/file {place}/prefix/etc/portage/make.conf'"
    seen = prefix.machine.run("unshare", "--mount", "sh", "-c", script)
    assert seen.stdout.startswith("yes\n"), seen.stderr
    assert "DISTDIR" in seen.stdout


@pytest.mark.skipif(os.path.exists("/fp-nowhere"), reason="/fp-nowhere exists")
def test_the_first_directory_of_the_path_may_be_missing(caller: str, open_dir: Path) -> None:
    prefix = Machine(open_dir / "machine").setup("far", eprefix="/fp-nowhere/my/stuff")
    wrapper = shell(prefix)
    script = "cat /fp-nowhere/my/stuff/etc/portage/make.conf; pwd; ls /proc/self/status; id -u"
    seen = run(caller, prefix.machine, wrapper, "-c", script)
    assert "DISTDIR" in seen.stdout, seen.stderr
    who = "0" if caller == "root" else str(os.geteuid() or 65534)
    assert seen.stdout.endswith(f"{prefix.machine.base}\n/proc/self/status\n{who}\n")
    assert not os.path.exists("/fp-nowhere")


@pytest.mark.needs_root
def test_a_parent_that_can_only_be_read_is_no_hindrance(viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    script = (
        "mount --bind /usr/local /usr/local && mount -o remount,bind,ro /usr/local"
        f" && exec {wrapper} -c 'cat {viewed.eprefix}/etc/which-root'"
    )
    seen = viewed.machine.run("unshare", "--mount", "sh", "-c", script)
    assert seen.stdout == "final", seen.stderr


def test_the_prefix_can_be_written_to_through_the_view(bare: InUse) -> None:
    wrapper = shell(bare)
    script = (
        f"echo new > {bare.eprefix}/etc/new && mv {bare.eprefix}/etc/new {bare.eprefix}/etc/newer"
    )
    assert bare.machine.run(wrapper, "-c", script).returncode == 0
    assert (bare.final / "etc/newer").read_text() == "new\n"


def test_an_ordinary_user_is_nobody_else_in_the_view(viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    script = "id -u; grep -h ^Cap[EPA] /proc/self/status"
    seen = run("user", viewed.machine, wrapper, "-c", script).stdout.split()
    assert seen[0] == str(os.geteuid() or 65534)
    assert all(int(word, 16) == 0 for word in seen[2::2])


def test_an_ordinary_user_is_so_where_util_linux_has_no_setpriv(
    viewed: InUse, open_dir: Path
) -> None:
    programs = open_dir / "programs"
    programs.mkdir()
    for name in ("sh", "mount", "unshare", "rm", "mkdir", "cp", "id", "grep", "python3"):
        (programs / name).symlink_to(shutil.which(name, path="/usr/bin:/bin") or name)
    argv = as_ordinary_user(
        viewed.wrapper("viewsh"), "-c", "id -u; grep -h ^Cap[EPA] /proc/self/status"
    )
    argv[0] = shutil.which(argv[0]) or argv[0]
    done = viewed.machine.run(*argv, env={"PATH": os.fspath(programs)})
    assert done.returncode == 0, done.stderr
    seen = done.stdout.split()
    assert seen[0] == str(os.geteuid() or 65534)
    assert all(int(word, 16) == 0 for word in seen[2::2])


@pytest.mark.parametrize("code", [0, 1, 42, 127, 255])
def test_the_exit_code_is_the_tools(caller: str, viewed: InUse, code: int) -> None:
    assert (
        run(caller, viewed.machine, viewed.wrapper("viewsh"), "-c", f"exit {code}").returncode
        == code
    )


def test_the_tool_is_the_process_that_was_started(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    argv = as_ordinary_user(wrapper, "-c", "echo $$; exec sleep 60")
    if caller == "root":
        argv = [str(wrapper), "-c", "echo $$; exec sleep 60"]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=viewed.machine.environment()
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM


def test_nothing_is_left_when_the_tool_is_killed(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    before = mounts(), snapshot(viewed.staging_dir / "view"), view_lists()
    argv = [str(wrapper), "-c", "echo $$; sleep 60"]
    if caller == "user":
        argv = as_ordinary_user(*argv)
    process = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        text=True,
        env=viewed.machine.environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    namespace = os.readlink(f"/proc/{int(process.stdout.readline())}/ns/mnt")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    deadline = time.monotonic() + 5
    while namespace in all_namespaces() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert namespace not in all_namespaces()
    assert mounts() == before[0]
    assert snapshot(viewed.staging_dir / "view") == before[1]
    assert not view_lists() - before[2]


def view_lists() -> set[Path]:
    """Return the files of ``mount`` that wrappers left in directories for temporary files."""
    places = ("/tmp", "/var/tmp", "/dev/shm")
    return {found for place in places for found in Path(place).glob(".flatcar-prefix-view*")}


def all_namespaces() -> set[str]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(os.readlink(process / "ns/mnt"))
        except OSError:
            continue
    return found


def test_standard_streams_are_the_tools(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    seen = run(caller, viewed.machine, wrapper, "-c", "cat; echo err >&2", stdin=None, input="in\n")
    assert (seen.stdout, seen.stderr) == ("in\n", "err\n")


def test_descriptors_of_the_caller_reach_the_tool(viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    seen = viewed.machine.run("sh", "-c", f"exec 3<<E\nthree\nE\nexec {wrapper} -c 'cat <&3'")
    assert seen.stdout == "three\n", seen.stderr


def test_the_terminal_is_the_tools(viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execve(wrapper, [str(wrapper), "-c", "test -t 0 && test -t 1 && echo a terminal; tty"],
                  viewed.machine.environment())  # fmt: skip
    said = b""
    try:
        while chunk := os.read(descriptor, 1000):
            said += chunk
    except OSError:
        pass
    os.waitpid(pid, 0)
    assert b"a terminal" in said
    assert b"/dev/pts/" in said


def test_the_current_directory_and_relative_paths_keep_working(
    caller: str, viewed: InUse, open_dir: Path
) -> None:
    wrapper = viewed.wrapper("viewsh")
    place = open_dir / "where I am"
    place.mkdir()
    (place / "note").write_text("found")
    seen = run(caller, viewed.machine, wrapper, "-c", "pwd; cat note ../*/note", cwd=place)
    assert seen.stdout == f"{place}\nfoundfound", seen.stderr


def test_files_of_a_root_have_their_paths_in_the_view(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    for kind in ("staging", "final"):
        root = viewed.eroot(kind)
        words = ("-c", 'pwd; printf "%s\\n" "$@"', "sh", root / "etc", root, "a b", "", "./etc")
        seen = run(caller, viewed.machine, wrapper, f"--{kind}", *words, cwd=root / "etc")
        eprefix = viewed.eprefix
        wanted = [f"{eprefix}/etc", f"{eprefix}/etc", eprefix, "a b", "", "./etc"]
        assert seen.stdout.splitlines() == wanted, seen.stderr


def test_a_current_directory_beside_the_prefix_is_that_of_the_view(
    caller: str, open_dir: Path
) -> None:
    place = open_dir / "place"
    place.mkdir()
    prefix = Machine(open_dir / "machine").setup("near", eprefix=f"{place}/near")
    seen = run(caller, prefix.machine, shell(prefix), "-c", "pwd; ls", cwd=place)
    assert seen.stdout == f"{place}\nnear\n", seen.stderr


def test_views_of_both_roots_at_the_same_time_do_not_meet(caller: str, viewed: InUse) -> None:
    wrapper = viewed.wrapper("viewsh")
    env = viewed.machine.environment()
    script = f"sleep 0.5; cat {viewed.eprefix}/etc/which-root"
    running = []
    for number in range(8):
        argv = [str(wrapper), ("--staging", "--final")[number % 2], "-c", script]
        argv = as_ordinary_user(*argv) if caller == "user" else argv
        running.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env))
    seen = [process.communicate()[0] for process in running]
    assert seen == ["staging", "final"] * 4


def test_a_machine_without_namespaces_is_told_what_to_do(viewed: InUse, open_dir: Path) -> None:
    wrapper = viewed.wrapper("viewsh")
    fake = open_dir / "fake"
    fake.mkdir()
    (fake / "mount").write_text("#!/bin/sh\nexit 32\n")
    (fake / "mount").chmod(0o755)
    seen = viewed.machine.run(wrapper, "-c", ":", env={"PATH": f"{fake}:{os.environ['PATH']}"})
    assert seen.returncode == 1
    assert len(seen.stderr.splitlines()) == 2
    assert "cannot be mounted" in seen.stderr


@pytest.mark.needs_root
@pytest.mark.parametrize(
    "setting", ["user/max_user_namespaces", "kernel/unprivileged_userns_clone"]
)
def test_a_machine_that_allows_users_no_namespaces_is_named(
    viewed: InUse, open_dir: Path, setting: str
) -> None:
    place = Path("/proc/sys") / setting
    if not place.exists():
        pytest.skip("this kernel has no such setting")
    (open_dir / "zero").write_text("0\n")
    script = f'mount --bind {open_dir}/zero {place} && exec "$@"'
    words = as_ordinary_user(viewed.wrapper("viewsh"), "-c", ":")
    seen = viewed.machine.run("unshare", "--mount", "sh", "-c", script, "sh", *words)
    assert seen.returncode == 1
    said, to_do = two_lines(seen)
    assert f"{place} is 0" in said
    assert "as root" in to_do


@pytest.mark.needs_root
@pytest.mark.parametrize(
    "restriction",
    [
        pytest.param(
            ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"], id="capability"
        ),
        pytest.param([sys.executable, "-c", FORBID_UNSHARE], id="seccomp"),
    ],
)
def test_a_container_that_forbids_namespaces_is_explained(
    viewed: InUse, restriction: list[str]
) -> None:
    seen = viewed.machine.run(*restriction, viewed.wrapper("viewsh"), "-c", ":")
    assert seen.returncode == 1
    said, to_do = two_lines(seen)
    assert "does not permit mount namespaces: unshare" in said
    assert "SYS_ADMIN" in to_do


@pytest.mark.needs_root
def test_an_unrestricted_machine_makes_one_namespace(viewed: InUse, open_dir: Path) -> None:
    """A first unshare, as a trial, would double the cost of a wrapper."""
    trace = open_dir / "trace"
    viewed.machine.ok(
        "strace", "-f", "-qq", "-e", "trace=unshare", "-o", trace,
        viewed.wrapper("viewsh"), "-c", ":",
    )  # fmt: skip
    assert trace.read_text().count("unshare(") == 1


def test_a_machine_without_unshare_is_told_which_package_has_it(
    viewed: InUse, open_dir: Path
) -> None:
    few = open_dir / "few"
    few.mkdir()
    (few / "sh").symlink_to("/bin/sh")
    seen = viewed.machine.run(viewed.wrapper("viewsh"), "-c", ":", env={"PATH": str(few)})
    assert seen.returncode == 1
    assert "util-linux" in two_lines(seen)[1]


def test_names_that_somebody_has_taken_do_not_keep_anybody_out(
    viewed: InUse, open_dir: Path
) -> None:
    open_dir.chmod(0o777)
    taken = f"{open_dir}/.flatcar-prefix-view.$$"
    script = f': >{taken}; ln -s /nowhere {taken}.0; : >{taken}.1; exec "$@"'
    words = ("sh", "-c", script, "sh", viewed.wrapper("viewsh"), "-c", "echo in the view")
    seen = run("user", viewed.machine, *words, env={"XDG_RUNTIME_DIR": str(open_dir)})
    assert (seen.stdout, seen.stderr) == ("in the view\n", "")
    assert len(os.listdir(open_dir)) == 3


def closing(*places: str) -> list[str]:
    """Return the start of a command line that runs the rest with ``places`` read-only."""
    binds = "".join(f"mount --bind {d} {d}; mount -o remount,bind,ro {d}; " for d in places)
    return ["unshare", "--mount", "sh", "-ec", f'{binds}exec "$@"', "sh"]


@pytest.mark.needs_root
@pytest.mark.parametrize("closed", [(), ("/tmp",), ("/tmp", "/var/tmp"), ("/tmp", "/dev/shm")])
def test_any_directory_for_temporary_files_will_do(viewed: InUse, closed: tuple[str, ...]) -> None:
    words = [
        *closing(*closed),
        *as_ordinary_user(viewed.wrapper("viewsh"), "-c", "echo in the view"),
    ]
    seen = viewed.machine.run(*words)
    assert (seen.stdout, seen.stderr) == ("in the view\n", "")


@pytest.mark.needs_root
def test_where_nothing_can_be_created_one_is_told_where(viewed: InUse) -> None:
    words = [
        *closing("/tmp", "/var/tmp", "/dev/shm"),
        *as_ordinary_user(viewed.wrapper("viewsh"), "-c", ":"),
    ]
    seen = viewed.machine.run(*words)
    assert seen.returncode == 1
    assert "/tmp" in two_lines(seen)[1]


@pytest.mark.needs_root
def test_a_directory_named_nowhere_is_nothing_special(viewed: InUse) -> None:
    binds = [word for name in os.listdir("/") for word in ("--dev-bind", f"/{name}", f"/{name}")]
    words = ["bwrap", "--cap-add", "ALL", *binds, "--dir", "/nowhere"]
    seen = viewed.machine.run(*words, viewed.wrapper("viewsh"), "-c", "echo in the view")
    assert (seen.stdout, seen.stderr) == ("in the view\n", "")
