# SPDX-License-Identifier: BSD-3-Clause
"""Ways out of the sandbox of ``flatcar-prefix run``: each is tried, as root and as a user."""

from __future__ import annotations

import ctypes
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_sandbox import HERE, RUN, shipping_prefix

from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.sandbox import seccomp

pytestmark = pytest.mark.needs_namespaces

NOBODY = 65534
ESCAPE = "/mnt/escapes"


@dataclass(frozen=True)
class Prisoner:
    """A prefix and the program that tries to leave its sandbox."""

    prefix: Prefix
    program: Path

    def command(self, *words: str) -> list[str]:
        code = RUN.replace("sys.argv[2:])", f"sys.argv[2:], bind=['{self.program}:{ESCAPE}:ro'])")
        return [sys.executable, "-c", code, os.fspath(self.prefix.staging_dir), ESCAPE, *words]

    def finds_open(self, *ways: str, user: int = 0, **options: object) -> list[str]:
        """Return the ways that are open."""
        who = {} if user == os.geteuid() else {"user": user, "group": user, "extra_groups": []}
        result = subprocess.run(
            self.command(*ways), cwd="/", capture_output=True, text=True, **{**who, **options}
        )  # type: ignore[call-overload]
        assert result.returncode in (0, 1) and not result.stderr, (ways, result)
        answers = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines())
        assert list(answers) == list(ways)
        return [way for way, answer in answers.items() if answer == "open"]


@pytest.fixture(scope="module")
def prisoner() -> Iterator[Prisoner]:
    with tempfile.TemporaryDirectory(prefix="escapes-") as name:
        base = Path(name)
        program = base / "escapes"
        source = HERE / "escapes.c"
        subprocess.run(["gcc", "-static", "-O1", "-w", "-o", program, source], check=True)
        prefix = shipping_prefix.make(base / "prefix")
        subprocess.run(["chmod", "-R", "a+rX", base], check=True)
        yield Prisoner(prefix, program)


WAYS = (
    "capabilities",
    "open=/proc/sys/kernel/core_pattern",
    "open=/proc/sys/kernel/hostname",
    "open=/proc/sys/kernel/modprobe",
    "open=/proc/sys/vm/drop_caches",
    "open=/proc/sysrq-trigger",
    "open=/proc/irq/default_smp_affinity",
    "open-after-unshare=/proc/sys/kernel/core_pattern",
    "open-after-unshare=/proc/sysrq-trigger",
    "new-proc",
    f"remount={shipping_prefix.EPREFIX}",
    "remount=/proc/sys",
    "remount=/",
    "mount",
    "mknod",
    "chroot",
    "see=/proc/1/root/etc/passwd",
    "see=/proc/self/root/etc/passwd",
    "see=/proc/1/cwd/etc/passwd",
    "see=/../etc/passwd",
    "see=/sys/fs/cgroup",
    "see=/dev/kmsg",
    "see=/dev/loop0",
    "descriptor",
    "setns",
    "by-handle",
    "keyring",
    "write=/escaped",
    "write=/dev/../escaped",
    f"write={shipping_prefix.EPREFIX}/escaped",
)
"""Ways that need nothing outside."""


@pytest.mark.needs_root
@pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "user"])
def test_no_way_is_open(prisoner: Prisoner, user: int) -> None:
    assert prisoner.finds_open(*WAYS, user=user) == []


@pytest.mark.needs_root
def test_they_are_open_outside(prisoner: Prisoner) -> None:
    """The test above can fail: as root, outside of the sandbox, these ways are open."""
    ways = ["capabilities", "open=/proc/sys/kernel/core_pattern", "keyring", "mount", "by-handle"]
    argv = ["unshare", "--mount", "--", os.fspath(prisoner.program), *ways]
    said = subprocess.run(argv, capture_output=True, text=True).stdout
    assert said.count(" open\n") >= 4, said


def test_a_process_outside_cannot_be_seen(prisoner: Prisoner) -> None:
    with subprocess.Popen(["sleep", "60"]) as victim:
        assert prisoner.finds_open(f"kill={victim.pid}", f"ptrace={victim.pid}") == []
        assert victim.poll() is None
        victim.kill()


def test_nothing_is_shared_with_the_machine(prisoner: Prisoner) -> None:
    """Neither an abstract socket nor shared memory of System V."""
    name = uuid.uuid4().hex
    libc, key = ctypes.CDLL(None), 1 + os.getpid()
    number = libc.shmget(key, 4096, 0o1600)
    assert number >= 0
    ways = [f"abstract-socket={name}", f"shared-memory={key}"]
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"\0{name}")
            server.listen()
            assert prisoner.finds_open(*ways) == []
            outside = subprocess.run([prisoner.program, *ways], capture_output=True, text=True)
            assert outside.stdout.count(" open\n") == 2
    finally:
        libc.shmctl(number, 0, None)


def test_files_in_dev_shm_stay_inside(prisoner: Prisoner) -> None:
    name = f"/dev/shm/escaped-{os.getpid()}"
    assert prisoner.finds_open(f"write={name}")
    assert not os.path.exists(name)


def test_a_descriptor_of_the_caller_is_not_passed_on(prisoner: Prisoner) -> None:
    descriptor = os.open("/", os.O_RDONLY)
    try:
        assert not prisoner.finds_open("descriptor", pass_fds=(descriptor,))
    finally:
        os.close(descriptor)


def test_a_signal_to_its_own_group_stays_inside(prisoner: Prisoner) -> None:
    script = '"$@"; echo "code $?"; "$@"; echo "code $?"'
    argv = ["sh", "-c", script, "sh", *prisoner.command("kill-group")]
    result = subprocess.run(argv, capture_output=True, text=True, start_new_session=True)
    assert result.returncode == 0
    assert result.stdout.count("code 1\n") == 2


class Terminal:
    """A terminal with a command as its session's leader."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self.master = pty.fork()
        if not self.pid:
            os.chdir("/")
            os.execvp(argv[0], argv)
        self.seen = ""

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, text: str, seconds: float = 60) -> str:
        """Return the output since the last call, up to ``text``."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    piece = os.read(self.master, 4096)
                except OSError:
                    piece = b""
                assert piece, f"it ended: {self.seen}"
                self.seen += piece.decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def close(self) -> None:
        os.close(self.master)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell() -> Iterator[Terminal]:
    """An interactive shell on a terminal, which runs commands as jobs."""
    terminal = Terminal(["bash", "--norc", "--noprofile", "-i"])
    terminal.send("PS1='ready>'; stty -echo\n")
    terminal.until("ready>")
    yield terminal
    terminal.close()


def quoted(words: list[str]) -> str:
    import shlex

    return shlex.join(words)


@pytest.mark.parametrize("redirection", ["", "2>/dev/null", "</dev/null"])
def test_nothing_is_pushed_into_the_terminal(
    prisoner: Prisoner, shell: Terminal, redirection: str
) -> None:
    ways = ["tiocsti", "tiocsti-high-bits", "tioclinux"]
    shell.send(f"{quoted(prisoner.command(*ways))} {redirection}; echo code $?.\n")
    assert "open" not in shell.until("code 1.")
    # A pushed character would precede this command.
    shell.send("echo still $((40 + 2))\n")
    shell.until("still 42")


def test_a_job_is_interrupted_stopped_and_continued(prisoner: Prisoner, shell: Terminal) -> None:
    run = [sys.executable, "-c", RUN, os.fspath(prisoner.prefix.staging_dir), "hello"]
    shell.send(f"{quoted([*run, 'wait'])}; echo code $?.\n")
    shell.until("ready\r\n")
    shell.send("\x1a")  # Ctrl-Z
    shell.until("Stopped")
    shell.send("echo the shell is $((40 + 2))\n")
    shell.until("the shell is 42")
    shell.send("fg; echo code $?.\n")
    shell.until("hello wait")
    time.sleep(0.5)
    shell.send("\x03")  # Ctrl-C
    shell.until(f"code {40 + signal.SIGINT}.")
    shell.send("jobs; echo the shell is $((40 + 3))\n")
    assert "hello" not in shell.until("the shell is 43")


def test_a_pipeline_keeps_the_terminal(prisoner: Prisoner, shell: Terminal) -> None:
    """The reader of a pipeline stays in the foreground: it can ask at the terminal."""
    run = [sys.executable, "-c", RUN, os.fspath(prisoner.prefix.staging_dir), "hello"]
    shell.send(f"{quoted(run)} | {{ cat; read -r answer </dev/tty; echo got $answer.; }}\n")
    shell.until(shipping_prefix.VERSION_SAID)
    shell.send("it\n")
    shell.until("got it.")


def test_ctrl_c_reaches_a_program_without_the_terminal(prisoner: Prisoner, shell: Terminal) -> None:
    run = [sys.executable, "-c", RUN, os.fspath(prisoner.prefix.staging_dir), "hello"]
    shell.send(
        f"{quoted([*run, 'wait'])} | (trap '' INT; exec cat); echo code ${{PIPESTATUS[0]}}.\n"
    )
    shell.until("ready\r\n")
    shell.send("\x03")
    shell.until(f"code {40 + signal.SIGINT}.")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_filter_is_whole_instructions_with_jumps_inside(machine: str) -> None:
    code = seccomp.program(machine)
    assert code is not None and len(code) % 8 == 0
    count = len(code) // 8
    for place in range(count):
        operation, then, otherwise, _value = (
            code[8 * place],
            code[8 * place + 2],
            code[8 * place + 3],
            0,
        )
        assert place + 1 + max(then, otherwise) < count or operation == 6


def test_a_machine_without_a_table_has_no_filter() -> None:
    assert seccomp.program("vax") is None
