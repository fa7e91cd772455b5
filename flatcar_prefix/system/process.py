# SPDX-License-Identifier: BSD-3-Clause
"""The one place through which this program starts other programs."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from flatcar_prefix.errors import BuildError, PrefixError
from flatcar_prefix.system.programs import SBIN, which

_STDERR_LINES = 20


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    check: bool = True,
    capture: bool = False,
    input: str | None = None,
    package: str | None = None,
    stdin: int | IO[Any] | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what became of it.

    ``argv`` is never given to a shell. ``env`` is the whole environment (default: the
    caller's). ``capture`` keeps stdout and stderr apart as text. Where ``check`` is set
    and the program fails, :class:`BuildError` carries its exit code, 128 and the
    signal's number for one that a signal ended, and its last lines when captured.
    ``package`` is the Debian package that :func:`which` names.
    """
    command = [os.fspath(word) for word in argv]
    if "/" not in command[0]:
        command[0] = os.fspath(which(command[0], package=package, path=(env or {}).get("PATH")))
    streams: dict[str, Any] = {"stdout": stdout, "stderr": stderr}
    if capture:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is None:
        streams["stdin"] = stdin
    try:
        result = subprocess.run(
            command,
            env=env,
            cwd=cwd,
            input=input,
            text=True,
            errors="surrogateescape",
            pass_fds=pass_fds,
            check=False,
            **streams,
        )
    except OSError as error:
        raise PrefixError(
            f"{command[0]} cannot be run: {error.strerror}",
            hint="See that it exists, is executable and is made for this machine.",
        ) from error
    if check and result.returncode:
        raise failure(argv, result)
    return result


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which a tool does the same for every caller.

    The caller's PATH, the directories of mkfs programs and ``settings``; nothing else.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
    return {"PATH": path, "LC_ALL": "C", "TZ": "UTC", **(settings or {})}


def exit_code(returncode: int) -> int:
    """Return what a shell would make of ``returncode``: 128 and the signal's number."""
    return 128 - returncode if returncode < 0 else returncode


def failure(
    argv: Sequence[str | os.PathLike[str]],
    result: subprocess.CompletedProcess[str],
    *,
    name: str = "",
) -> BuildError:
    """Return the error that says how a program failed; ``name`` is what the user calls it."""
    name = name or Path(argv[0]).name
    if result.returncode < 0:
        how = f"was ended by {signal.Signals(-result.returncode).name}"
    else:
        how = f"failed with exit code {result.returncode}"
    lines = (result.stderr or "").strip().splitlines()[-_STDERR_LINES:]
    said = ": " + " | ".join(line.strip() for line in lines if line.strip()) if lines else ""
    return BuildError(
        f"{name} {how}{said}",
        hint=f"The command was: {shlex.join(os.fspath(word) for word in argv)}",
        exit_code=exit_code(result.returncode),
    )


def start(
    argv: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str], output: IO[Any]
) -> subprocess.Popen[bytes]:
    """Start a program that reads nothing and writes everything to ``output``.

    Should this process be killed, so is the program: what it was started for goes on in
    another process, behind whose back it must not.
    """
    command = [os.fspath(word) for word in argv]
    command[0] = os.fspath(which(command[0]))
    return subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        preexec_fn=_ending_with(os.getpid()),
    )  # fmt: skip


PR_SET_PDEATHSIG = 1
"""See prctl(2) and linux/prctl.h."""


def _ending_with(parent: int) -> Callable[[], None]:
    """Return what lets the process that calls it end when ``parent`` has ended."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # It has ended before it was asked for.
            os.kill(os.getpid(), signal.SIGTERM)

    return ask


def wait(child: subprocess.Popen[bytes], *, seconds: float) -> int | None:
    """Return the exit code of ``child``, None when it is still at it after ``seconds``.

    When this process is interrupted meanwhile, so is the child, and it is waited for.
    """
    try:
        return exit_code(child.wait(timeout=seconds))
    except subprocess.TimeoutExpired:
        return None
    except BaseException:
        child.terminate()
        child.wait()
        raise
