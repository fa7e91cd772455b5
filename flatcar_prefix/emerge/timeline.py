# SPDX-License-Identifier: BSD-3-Clause
"""The packages in ``emerge.log``: when Portage started with each, and when it was installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LOG = "emerge.log"

_EVENT = re.compile(r"(\d+): +(>>>|:::) (?:completed )?emerge \((\d+) of (\d+)\) (\S+) to ")
"""A line of ``_emerge.Scheduler`` or ``_emerge.EbuildBuild``, see ``_emerge.emergelog``."""


@dataclass(frozen=True)
class Event:
    """The start or the end of a package in one call of emerge."""

    time: int
    """Seconds since the epoch."""
    done: bool
    """Whether the package is installed; otherwise, Portage starts with it."""
    number: int
    count: int
    """The number of packages in this call."""
    cpv: str


def events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events in lines of ``emerge.log``; ignore other lines."""
    for line in lines:
        if found := _EVENT.match(line):
            time, what, number, count, cpv = found.groups()
            yield Event(int(time), what == ":::", int(number), int(count), cpv)


class Tail:
    """The lines that a file gets from now on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = file.stat().st_size if file.exists() else 0

    def lines(self) -> list[str]:
        """Return the complete lines since the last call; none if the file does not exist."""
        try:
            with self._file.open("rb") as stream:
                stream.seek(self._at)
                text = stream.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.decode("utf-8", "replace").splitlines()
