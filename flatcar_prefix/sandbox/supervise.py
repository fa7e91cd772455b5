# SPDX-License-Identifier: BSD-3-Clause
"""Wait for a program in a namespace, forward signals to it, and lend it the terminal.

The program never shares the caller's process group, because ``kill(0, ...)`` reaches the whole
group, also outside the PID namespace. There are two cases:

- All three standard streams are the caller's terminal, and a filter denies TIOCSTI: the
  program gets a new process group and the foreground of the terminal, like a job of a
  shell. Job control works.
- Otherwise the program gets a session without a controlling terminal. This process forwards
  the signals of the terminal.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system import process

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGALRM,
    signal.SIGCONT,
)

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37

_STREAMS = (0, 1, 2)
_TERMINAL = 0
_PATIENCE = 0.5
"""The polling interval in seconds after bubblewrap, which would report a stop, has died."""


def supervise(bwrap: list[str], before: list[str], *, seccomp: bytes | None) -> int:
    """Run bubblewrap, pass on the signals that are sent to this process, return the exit code.

    bubblewrap does not forward signals, and a signal from the terminal kills bubblewrap, but
    not the program. This process becomes the reaper of its descendants, so it can still wait
    for the program. ``seccomp`` is the filter of the program's system calls.
    """
    job = seccomp is not None and _has_foreground()
    # A job's bubblewrap may end before its program; a session's only if this process does.
    options = [] if job else ["--new-session", "--die-with-parent"]
    watched = {*FORWARDED, signal.SIGCHLD, *((signal.SIGTTOU,) if job else (signal.SIGTSTP,))}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    reading, writing = os.pipe()
    passed = [writing]
    try:
        if seccomp is not None:
            passed.append(_file(seccomp))
            options += ["--seccomp", str(passed[-1])]
        with _reaping():
            child = subprocess.Popen(
                [*before, bwrap[0], *options, "--info-fd", str(writing), *bwrap[1:]],
                pass_fds=passed,
                start_new_session=not job,
                preexec_fn=lambda: _begin(mask, job=job),
            )
            while passed:
                os.close(passed.pop())
            with open(reading, encoding="utf-8") as info:
                init = int(json.loads(info.read() or "{}").get("child-pid", 0))
            return _Supervision(child, init, watched, job).wait()
    finally:
        if job:
            _take_terminal(os.getpgrp())
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _has_foreground() -> bool:
    """Return whether the standard streams are this process's terminal, with it in the foreground.

    In a pipeline, the other processes need the foreground, too.
    """
    try:
        return (
            all(os.isatty(number) for number in _STREAMS)
            and os.tcgetpgrp(_TERMINAL) == os.getpgrp()
        )
    except OSError:  # The terminal belongs to another session.
        return False


def _file(data: bytes) -> int:
    """Return a descriptor that ``data`` can be read from."""
    number = os.memfd_create("flatcar-prefix-seccomp")
    os.write(number, data)
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _begin(mask: set[signal.Signals] | set[int], *, job: bool) -> None:
    """Prepare the child process before it executes bubblewrap."""
    if job:
        os.setpgid(0, 0)
        _take_terminal(os.getpid())  # SIGTTOU is still blocked.
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _take_terminal(group: int) -> None:
    with suppress(OSError):
        os.tcsetpgrp(_TERMINAL, group)


@contextmanager
def _reaping() -> Iterator[None]:
    """Make this process the reaper of descendants whose parent died."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = ctypes.c_int(0)
    libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


class _Supervision:
    """A running sandbox: bubblewrap, the init of its PID namespace, and how signals reach it."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        init: int,
        watched: set[signal.Signals],
        job: bool,
    ) -> None:
        self._child, self._init, self._watched, self._job = child, init, watched, job

    def wait(self) -> int:
        """Return the exit code of the program, from bubblewrap or, if it died, from init."""
        while True:
            code = self._child.poll()
            if code is not None and not self._init:
                raise PrefixError(
                    "bubblewrap could not create the sandbox",
                    hint="Check that user namespaces are allowed: sysctl user.max_user_namespaces.",
                )
            if code is not None and code >= 0:
                return code
            if (ended := _ended(self._init)) is not None:
                return process.exit_code(ended)
            if self._job and self._is_stopped(bubblewrap_died=code is not None):
                self._stop_too()
            self._next_signal(patience=_PATIENCE if self._job and code is not None else None)

    def _next_signal(self, *, patience: float | None) -> None:
        if patience is None:
            number = signal.sigwaitinfo(self._watched).si_signo
        elif (received := signal.sigtimedwait(self._watched, patience)) is None:
            return
        else:
            number = received.si_signo
        if number == signal.SIGTSTP:
            # Without a terminal, the program's group is orphaned and ignores SIGTSTP.
            self._pass_on(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        elif number not in (signal.SIGCHLD, signal.SIGTTOU):
            self._pass_on(number)

    def _is_stopped(self, *, bubblewrap_died: bool) -> bool:
        if not bubblewrap_died:
            flags = os.WSTOPPED | os.WNOHANG
            return os.waitid(os.P_PID, self._child.pid, flags) is not None
        pid = self._program()
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        return state.rpartition(")")[2].split()[0] == "T"

    def _stop_too(self) -> None:
        """Stop as the program did; when continued, continue the program in the foreground."""
        _take_terminal(os.getpgrp())
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        if _has_foreground():
            _take_terminal(self._child.pid)
        with suppress(OSError):
            os.killpg(self._child.pid, signal.SIGCONT)

    def _program(self) -> int:
        """Return the PID of the program, the child of its namespace's init; 0 if it ended."""
        try:
            path = Path(f"/proc/{self._init}/task/{self._init}/children")
            children = path.read_text(encoding="ascii").split()
        except OSError:
            return 0
        return int(children[0]) if children else 0

    def _pass_on(self, number: int) -> None:
        pid = self._program()
        with suppress(OSError):  # The program ended in the meantime.
            if pid:
                os.kill(pid, number)


def _ended(pid: int) -> int | None:
    """Return the exit code of an adopted child; ``None`` while it runs or is another's."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None
