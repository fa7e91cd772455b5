# SPDX-License-Identifier: BSD-3-Clause
"""Detect a started program that no longer makes progress."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path


def cpu_ticks(pid: int) -> int:
    """Return the CPU time of a process and all its descendants, in clock ticks, see proc(5)."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit() and (read := _stat(int(name))):
            parent, ticks[int(name)] = read
            children[parent].append(int(name))
    total, left = 0, [pid]
    while left:
        one = left.pop()
        total += ticks.get(one, 0)
        left += children[one]
    return total


def _stat(pid: int) -> tuple[int, int] | None:
    """Return the parent of a process and its CPU time, with that of its ended children."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        words = text.rpartition(")")[2].split()
        return int(words[1]), sum(int(word) for word in words[11:15])
    except (OSError, ValueError, IndexError):
        return None


class Watch:
    """Notices that a process neither writes to its log nor uses the CPU."""

    def __init__(self, pid: int, log: Path, *, every: float = 15.0) -> None:
        self._pid = pid
        self._log = log
        self._every = every
        self._seen = (-1, -1)
        self._changed = self._looked = time.monotonic()

    def idle(self) -> float:
        """Return the seconds since the last activity. Frequent calls are cheap."""
        now = time.monotonic()
        if now - self._looked >= self._every:
            self._looked = now
            seen = (self._log.stat().st_size, cpu_ticks(self._pid))
            if seen != self._seen:
                self._seen, self._changed = seen, now
        return now - self._changed if self._looked > self._changed else 0.0
