# SPDX-License-Identifier: BSD-3-Clause
"""Run programs of a prefix with the real bubblewrap and, for arm64, QEMU."""

from __future__ import annotations

import argparse
import json
import os
import platform
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

HERE = Path(__file__).parent
sys.path.insert(0, os.fspath(HERE.parent / "image"))

import shipping_prefix

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.sandbox import command, ld_debug, run as sandbox
from flatcar_prefix.sandbox.emulation import binfmt
from flatcar_prefix.sandbox.place import Place, emulator, parse_bind

HELLO = f"{shipping_prefix.EPREFIX}/usr/bin/hello"
BOARDS = ("amd64-usr", "arm64-usr")

pytestmark = pytest.mark.needs_namespaces

RUN = """
import sys
from pathlib import Path
from flatcar_prefix.prefix import record
from flatcar_prefix.sandbox.run import run
sys.exit(run(record.read(Path(sys.argv[1])), sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def prefixes() -> Iterator[dict[str, Prefix]]:
    """A prefix for each board, in a directory that every user can read."""
    with tempfile.TemporaryDirectory(prefix="prefixes-") as name:
        base = Path(name)
        made = {board: shipping_prefix.make(base / board, board=board) for board in BOARDS}
        subprocess.run(["chmod", "-R", "a+rX", base], check=True)
        yield made


@pytest.fixture
def shipped(prefixes: dict[str, Prefix]) -> Prefix:
    return prefixes["amd64-usr"]


def start(prefix: Prefix, *argv: str, **options: object) -> subprocess.Popen[str]:
    """Start this program, which starts the program of the prefix."""
    command = [sys.executable, "-c", RUN, prefix.staging_dir, *argv]
    return subprocess.Popen(command, cwd=HERE.parents[1], text=True, **options)  # type: ignore[call-overload,no-any-return]


def output(prefix: Prefix, *argv: str, **options: object) -> str:
    """Return the output of a program of the prefix."""
    code = (
        "import sys, json; from pathlib import Path; from flatcar_prefix.prefix import record;"
        "from flatcar_prefix.sandbox.run import run;"
        "sys.exit(run(record.read(Path(sys.argv[1])), sys.argv[3:],"
        " **json.loads(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, prefix.staging_dir, json.dumps(options), *argv]
    return subprocess.run(
        command, cwd=HERE.parents[1], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("board", BOARDS)
def test_a_program_runs_for_each_board(prefixes: dict[str, Prefix], board: str) -> None:
    assert output(prefixes[board], "hello") == shipping_prefix.VERSION_SAID + "\n"


def test_nothing_of_the_machine_is_there(shipped: Prefix) -> None:
    there = ["/proc/self", "/dev/null", "/tmp", HELLO]
    gone = [
        "/etc",
        "/bin",
        "/lib",
        "/lib64",
        "/usr/bin",
        "/usr/lib",
        "/home",
        "/root",
        "/sys",
        "/var",
    ]
    seen = dict(
        line.split() for line in output(shipped, "hello", "see", *there, *gone).splitlines()
    )
    assert seen == {**dict.fromkeys(there, "1"), **dict.fromkeys(gone, "0")}


def test_its_libraries_are_the_prefix_s_own(shipped: Prefix) -> None:
    maps = set(output(shipped, "hello", "maps").splitlines())
    assert f"{shipped.eprefix}/lib64/libc.so.6" in maps
    assert all(path.startswith(shipped.eprefix) for path in maps)


@pytest.mark.parametrize(
    ("path", "code"), [("/tmp/x", 0), (f"{shipping_prefix.EPREFIX}/x", 1), ("/x", 1)]
)
def test_only_tmp_can_be_written_to(shipped: Prefix, path: str, code: int) -> None:
    assert sandbox.run(shipped, ["hello", "write", path]) == code


def test_the_environment_is_the_prefix_s_and_what_was_asked_for(shipped: Prefix) -> None:
    os.environ["SECRET_OF_THE_CALLER"] = "x"
    try:
        lines = output(shipped, "hello", "env", env={"TERM": "dumb"}).splitlines()
    finally:
        del os.environ["SECRET_OF_THE_CALLER"]
    found = dict(line.split("=", 1) for line in lines)
    assert set(found) <= {"PATH", "HOME", "TMPDIR", "EPREFIX", "TERM", "PWD"}
    assert found["PATH"].split(":")[:2] == [f"{shipped.eprefix}/usr/bin", f"{shipped.eprefix}/bin"]
    assert found["TERM"] == "dumb"


@pytest.mark.parametrize("code", [0, 1, 7, 255])
@pytest.mark.parametrize("board", BOARDS)
def test_the_exit_code_is_the_program_s(prefixes: dict[str, Prefix], board: str, code: int) -> None:
    assert sandbox.run(prefixes[board], ["hello", "exit", str(code)]) == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
@pytest.mark.parametrize("board", BOARDS)
def test_a_program_that_a_signal_ended_gives_128_and_its_number(
    prefixes: dict[str, Prefix], board: str, number: int
) -> None:
    assert sandbox.run(prefixes[board], ["hello", "kill", str(int(number))]) == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("board", BOARDS)
def test_a_signal_that_is_sent_reaches_the_program_which_decides(
    prefixes: dict[str, Prefix], board: str, number: int
) -> None:
    child = start(
        prefixes[board], "hello", "wait", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    assert child.wait(20) == 40 + number


def on_terminal(prefix: Prefix, *argv: str, until: bytes, send: bytes) -> tuple[bytes, int]:
    """Return the output of a program on a terminal, and its exit code."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(HERE.parent)
        os.execv(sys.executable, [sys.executable, "-c", RUN, prefix.staging_dir, *argv])
    seen = b""
    while until not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, send)
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    return seen, os.waitstatus_to_exitcode(status)


def test_the_terminal_is_the_program_s(shipped: Prefix) -> None:
    assert b"111" in on_terminal(shipped, "hello", "tty", until=b"111", send=b"")[0]


def test_interrupting_at_a_terminal_reaches_the_program_once_and_is_its_to_handle(
    shipped: Prefix,
) -> None:
    """The signal kills bubblewrap itself; the result is still the program's exit code."""
    code = on_terminal(shipped, "hello", "wait", until=b"ready", send=b"\x03")[1]
    assert code == 40 + signal.SIGINT


def test_the_streams_are_the_program_s(shipped: Prefix) -> None:
    child = start(shipped, "hello", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.communicate("ünïcode\n" * 1000)[0] == "ünïcode\n" * 1000


def test_a_bind_is_there_writable_or_not(shipped: Prefix, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    inside = "/mnt/place"
    assert (
        sandbox.run(shipped, ["hello", "write", f"{inside}/new"], bind=[f"{tmp_path}:{inside}"])
        == 0
    )
    assert (tmp_path / "new").read_text() == "x"
    read_only = [f"{tmp_path}:{inside}:ro"]
    assert sandbox.run(shipped, ["hello", "write", f"{inside}/other"], bind=read_only) == 1
    assert output(shipped, "hello", "see", f"{tmp_path}/file", bind=[os.fspath(tmp_path)]) == (
        f"{tmp_path}/file 1\n"
    )


@pytest.mark.parametrize(
    "text", ["", "a:b", "/tmp:/", "/tmp:/proc", ":/x", "/tmp:/a:/b", "/tmp:b:ro"]
)
def test_a_bind_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_bind(text)


def test_a_bind_of_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrefixError, match=f"cannot bind {tmp_path}/nowhere"):
        parse_bind(f"{tmp_path}/nowhere:/x")


def test_without_asking_there_is_no_network_and_with_asking_there_is(shipped: Prefix) -> None:
    def interfaces(text: str) -> set[str]:
        return {line.split(":")[0].strip() for line in text.splitlines() if ":" in line}

    read = ["hello", "read", "/proc/net/dev"]
    # Kernels with tunnel modules create these in every namespace.
    always = {"lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6gre0"}
    assert interfaces(output(shipped, *read)) <= always
    everything = interfaces(Path("/proc/net/dev").read_text())
    assert interfaces(output(shipped, *read, network=True)) == everything
    seen = output(shipped, "hello", "see", "/etc/resolv.conf", "/etc/passwd", network=True)
    there = int(Path("/etc/resolv.conf").exists())
    assert seen == f"/etc/resolv.conf {there}\n/etc/passwd 0\n"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("nope", 127),
        ("/etc/passwd", 127),
        ("/usr/bin/env", 127),
        (f"{shipping_prefix.EPREFIX}/etc/hello.conf", 126),
    ],
)
def test_a_program_that_cannot_be_run_gives_the_shell_s_exit_code(
    shipped: Prefix, program: str, code: int
) -> None:
    with pytest.raises(PrefixError) as error:
        sandbox.run(shipped, [program])
    assert error.value.exit_code == code
    assert error.value.hint


@pytest.mark.parametrize("board", BOARDS)
def test_a_script_runs_by_its_interpreter(prefixes: dict[str, Prefix], board: str) -> None:
    assert output(prefixes[board], "hello-script") == shipping_prefix.VERSION_SAID + "\n"


def test_an_absolute_link_in_the_prefix_is_followed_there(shipped: Prefix) -> None:
    place = Place(shipped.final)
    found = place.resolve(f"{shipped.eprefix}/usr/share/hello/absolute")
    assert found == shipped.final.eroot / "etc/hello.conf"
    assert place.resolve("/etc/hostname") is None


def test_links_in_a_circle_lead_nowhere(tmp_path: Path, shipped: Prefix) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    place = Place(shipped.final, (parse_bind(f"{tmp_path}:/x"),))
    assert place.resolve("/x/a") is None


# --- another architecture


def test_what_an_emulated_program_starts_is_emulated_too(prefixes: dict[str, Prefix]) -> None:
    prefix = prefixes["arm64-usr"]
    qemu = emulator(prefix)
    assert qemu
    if not binfmt(prefix, qemu):
        pytest.skip("this kernel has no binfmt_misc for user namespaces (Linux 6.7)")
    assert sandbox.run(prefix, ["hello", "spawn", HELLO, "exit", "5"]) == 5
    assert sandbox.run(prefix, ["hello", "spawn", HELLO + "-script"]) == 0


def test_the_machine_s_own_binfmt_misc_is_left_alone(prefixes: dict[str, Prefix]) -> None:
    place = Path("/proc/sys/fs/binfmt_misc")
    before = sorted(place.iterdir())
    sandbox.run(prefixes["arm64-usr"], ["hello"])
    assert sorted(place.iterdir()) == before


def test_without_binfmt_misc_the_program_and_its_scripts_run(
    prefixes: dict[str, Prefix], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sandbox, "binfmt", lambda prefix, qemu: [])
    for program in ("hello", "hello-script"):
        assert sandbox.run(prefixes["arm64-usr"], [program]) == 0
    assert capfd.readouterr().out == 2 * (shipping_prefix.VERSION_SAID + "\n")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="about an x86_64 machine")
def test_the_machine_s_own_architecture_is_not_emulated(prefixes: dict[str, Prefix]) -> None:
    assert emulator(prefixes["amd64-usr"]) is None
    assert emulator(prefixes["arm64-usr"], machine="aarch64") is None


# --- an ordinary user


@pytest.mark.needs_root
@pytest.mark.parametrize("board", BOARDS)
def test_an_ordinary_user_can_run_it(prefixes: dict[str, Prefix], board: str) -> None:
    # That user may not be able to read the interpreter of the tests.
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    command = [
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
        *(python, "-B", "-c", RUN, prefixes[board].staging_dir, "hello", "exit", "9"),
    ]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.fspath(HERE.parents[1]), "HOME": "/tmp"}
    result = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True)
    assert result.returncode == 9, result.stderr


# --- loaded libraries


@pytest.mark.parametrize("board", BOARDS)
def test_each_library_loaded_is_printed_with_where_it_is_from(
    prefixes: dict[str, Prefix], board: str, capfd: pytest.CaptureFixture[str]
) -> None:
    prefix = prefixes[board]
    assert sandbox.run(prefix, ["hello"], trace_libs=True) == 0
    printed = dict(line.split(" => ") for line in capfd.readouterr().err.splitlines())
    assert printed["libgreeting.so.1"] == f"{prefix.eprefix}/usr/lib64/libgreeting.so.1"
    assert printed["libc.so.6"] == f"{prefix.eprefix}/{prefix.board.libdir}/libc.so.6"
    assert all(path.startswith(prefix.eprefix) for path in printed.values())


def test_a_library_from_outside_is_an_error(shipped: Prefix, tmp_path: Path) -> None:
    shutil.copy(shipped.final.eroot / "usr/lib64/libgreeting.so.1", tmp_path / "libother.so")
    with pytest.raises(PrefixError, match=r"outside the prefix: /mnt/libother\.so"):
        sandbox.run(
            shipped,
            ["hello", "load", "/mnt/libother.so"],
            bind=[f"{tmp_path}:/mnt"],
            trace_libs=True,
        )


def test_a_library_that_a_child_loads_is_seen(shipped: Prefix, tmp_path: Path) -> None:
    shutil.copy(shipped.final.eroot / "usr/lib64/libgreeting.so.1", tmp_path / "libother.so")
    with pytest.raises(PrefixError, match="outside the prefix"):
        sandbox.run(
            shipped,
            ["hello", "spawn", HELLO, "load", "/mnt/libother.so"],
            bind=[f"{tmp_path}:/mnt"],
            trace_libs=True,
        )


@pytest.mark.parametrize("library", ["./libother.so", "sub/libother.so"])
def test_a_library_by_a_relative_path_is_from_outside(
    shipped: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    (tmp_path / library).parent.mkdir(exist_ok=True)
    shutil.copy(shipped.final.eroot / "usr/lib64/libgreeting.so.1", tmp_path / library)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PrefixError, match=r"outside the prefix: .*libother"):
        sandbox.run(shipped, ["hello", "load", library], bind=[tmp_path], trace_libs=True)


def test_a_library_found_in_a_relative_directory_is_from_outside(
    shipped: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(shipped.final.eroot / "usr/lib64/libgreeting.so.1", tmp_path / "libother.so")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PrefixError, match=r"outside the prefix: \./libother\.so"):
        sandbox.run(
            shipped,
            ["hello", "load", "libother.so"],
            bind=[tmp_path],
            trace_libs=True,
            env={"LD_LIBRARY_PATH": "."},
        )


def test_a_path_that_leads_out_of_the_prefix_again_is_outside() -> None:
    assert ld_debug.Library("/p/usr/lib/../lib64/x.so").inside("/p")
    assert not ld_debug.Library("/p/../q/x.so").inside("/p")


LOG = """\
       12:\tfile=libz.so.1 [0];  needed by /p/usr/bin/x [0]
       12:\tfind library=libz.so.1 [0]; searching
       12:\t search path=/p/a:/p/b\t\t(RUNPATH from file /p/usr/bin/x)
       12:\t  trying file=/p/a/libz.so.1
       12:\t  trying file=/p/b/libz.so.1
       12:\t
       12:\tfile=libz.so.1 [0];  generating link map
       12:\tfind library=libgone.so [0]; searching
       12:\t  trying file=/lib/libgone.so
       12:\t
       12:\tfile=/p/usr/lib/module.so [0];  dynamically loaded by /p/usr/bin/x [0]
       12:\tfile=/p/usr/lib/module.so [0];  generating link map
       12:\tcalling init: /p/lib/ld.so
"""


def test_what_was_only_looked_for_is_not_loaded() -> None:
    assert list(ld_debug.loaded(LOG.splitlines())) == [
        "/p/b/libz.so.1",
        "/p/usr/lib/module.so",
        "/p/lib/ld.so",
    ]


@given(st.lists(st.text(max_size=60), max_size=20))
def test_any_output_can_be_read(lines: list[str]) -> None:
    assert all(ld_debug.loaded(lines))


# --- the command


def test_the_command_hands_everything_after_the_program_to_it() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = shlex.split("--bind /tmp --network -- hello --bind x -- --help")
    args = parser.parse_args(words)
    assert (args.program, args.bind, args.network) == ("hello", ["/tmp"], True)
    assert args.arguments == ["--bind", "x", "--", "--help"]


def test_the_command_runs_it(shipped: Prefix, capfd: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert (
        command.run_command(shipped, parser.parse_args(["--setenv", "A=b c", "hello", "env"])) == 0
    )
    assert "A=b c\n" in capfd.readouterr().out
    with pytest.raises(UsageError):
        command.run_command(shipped, parser.parse_args(["--setenv", "A", "hello"]))


def test_a_prefix_with_nothing_in_it_says_so(shipped: Prefix, tmp_path: Path) -> None:
    with pytest.raises(PrefixError, match="does not exist"):
        sandbox.run(replace(shipped, final_dir=tmp_path), ["hello"])
