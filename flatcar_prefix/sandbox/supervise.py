# SPDX-License-Identifier: BSD-3-Clause
"""Wait for a program in a namespace and forward signals to it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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


def supervise(bwrap: list[str], before: list[str]) -> int:
    """Run bubblewrap, pass on the signals that are sent to this process, return the exit code.

    bubblewrap does not forward signals. A signal from a terminal reaches the whole process
    group and kills bubblewrap, but not the program. This process becomes the reaper of its
    descendants, so it can still wait for the program.
    """
    if not any(os.isatty(descriptor) for descriptor in range(3)):
        # Without a terminal, bubblewrap ends before its program only if this process does.
        bwrap = [bwrap[0], "--die-with-parent", *bwrap[1:]]
    reading, writing = os.pipe()
    watched = {*FORWARDED, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        with _reaping():
            child = subprocess.Popen(
                [*before, bwrap[0], "--info-fd", str(writing), *bwrap[1:]],
                pass_fds=(writing,),
                preexec_fn=lambda: _set_mask(mask),
            )
            os.close(writing)
            with open(reading, encoding="utf-8") as info:
                init = int(json.loads(info.read() or "{}").get("child-pid", 0))
            return _wait(child, init, watched)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _set_mask(mask: set[signal.Signals] | set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


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


def _wait(child: subprocess.Popen[bytes], init: int, watched: set[signal.Signals]) -> int:
    """Return the exit code of the program, from bubblewrap or, if it died, from ``init``."""
    while True:
        code = child.poll()
        if code is not None and not init:
            raise PrefixError(
                "bubblewrap could not create the sandbox",
                hint="Check that user namespaces are allowed: sysctl user.max_user_namespaces.",
            )
        if code is not None and code >= 0:
            return code
        code = _ended(init)
        if code is not None:
            return process.exit_code(code)
        received = signal.sigwaitinfo(watched)
        # The kernel also sends its own signals to the program.
        if received.si_signo != signal.SIGCHLD and received.si_code <= 0:
            _pass_on(init, received.si_signo)


def _ended(pid: int) -> int | None:
    """Return the exit code of an adopted child; ``None`` while it runs or is another's."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None


def _pass_on(init: int, number: int) -> None:
    """Send a signal to the program, which is the child of its namespace's init."""
    try:
        children = Path(f"/proc/{init}/task/{init}/children").read_text(encoding="ascii")
        for pid in children.split()[:1]:
            os.kill(int(pid), number)
    except OSError:
        return  # The program ended in the meantime.
