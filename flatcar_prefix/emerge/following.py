# SPDX-License-Identifier: BSD-3-Clause
"""Run emerge with its output in a log, and report each package while it runs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from flatcar_prefix.emerge.timeline import LOG, Event, Tail, events
from flatcar_prefix.prefix.model import KINDS, Prefix
from flatcar_prefix.system import process
from flatcar_prefix.system.activity import Watch
from flatcar_prefix.system.progress import Progress

_PATIENCE = 600.0
"""Seconds without output and CPU time after which emerge is reported as idle."""


def build_options(say: Progress) -> tuple[str, ...]:
    """Return the options of emerge for the output that ``say`` reports.

    Portage writes the output of compilers to its own output only if it builds one package at once.
    """
    return ("--jobs=1", "--quiet-build=n") if say.verbose else ("--quiet-build=y",)


def follow(
    prefix: Prefix,
    argv: Sequence[str],
    *,
    log: Path,
    stream: TextIO,
    label: str,
    say: Progress,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    check: Callable[[subprocess.Popen[bytes], float], None] = lambda _child, _idle: None,
) -> int:
    """Run an emerge of ``prefix`` that writes to ``stream``, the open ``log``.

    Return its exit code. Report each package that is installed to ``say``, and each line of the
    log if ``say`` is verbose. Call ``check`` about once a second, with the process and the
    seconds since its last activity.
    """
    packages, output = _Packages(prefix), Tail(log)
    started = time.time()
    child = process.start(argv, env=env, output=stream, pass_fds=pass_fds)
    watch = Watch(child.pid, log)
    while True:
        code = process.wait(child, seconds=1.0)
        for line in output.lines() if say.verbose else ():
            say.output(line)
        packages.report(say)
        if code is not None:
            return code
        check(child, watch.idle())
        now = packages.current() or f"resolving, {elapsed(time.time() - started)}"
        say.alive(f"{label}: {now}{_idle_words(watch.idle())}")


class _Packages:
    """The packages of the calls of emerge for both roots of a prefix, from now on."""

    def __init__(self, prefix: Prefix) -> None:
        self._logs = {kind: Tail(prefix.root(kind).logdir / LOG) for kind in KINDS}
        self._running: dict[tuple[str, str], Event] = {}

    def report(self, say: Progress) -> None:
        """Report the packages that were installed since the last call."""
        for kind, log in self._logs.items():
            for event in events(log.lines()):
                begun = self._running.pop((kind, event.cpv), event)
                if event.done:
                    say.package(_described(event, kind, event.time - begun.time))
                else:
                    self._running[kind, event.cpv] = event

    def current(self) -> str:
        """Return the package that takes longest, and how many others there are, or nothing."""
        if not self._running:
            return ""
        (kind, _), event = min(self._running.items(), key=lambda item: item[1].time)
        others = len(self._running) - 1
        return _described(event, kind, time.time() - event.time) + (
            f"; {others} more at once" if others else ""
        )


def _described(event: Event, kind: str, seconds: float) -> str:
    return f"package {event.number} of {event.count}, {event.cpv}, {kind}, {elapsed(seconds)}"


def elapsed(seconds: float) -> str:
    """Return a duration for messages: ``42 s``, ``3 min 07 s``."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _idle_words(idle: float) -> str:
    return f"; no output and no CPU time for {elapsed(idle)}" if idle >= _PATIENCE else ""
