# SPDX-License-Identifier: BSD-3-Clause
"""Find the cause of a failed build in its logs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Death(NamedTuple):
    """The last ``die`` of an ebuild in a log."""

    package: str
    """``category/name-version``."""
    phase: str
    reason: str


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_DIED = re.compile(
    r"^ \* ERROR: (?P<package>[^\s:]+)(?:::\S+)? failed \((?P<phase>\w+) phase\):\n"
    r" \*   (?P<reason>.*)",
    re.MULTILINE,
)
"""What ``__helpers_die`` of Portage's isolated-functions.sh prints."""


def death(log: Path) -> Death | None:
    """Return the last ``die`` in a log, or ``None``."""
    found = list(_DIED.finditer(text_of(log)))
    return Death(*map(str.strip, found[-1].groups())) if found else None


def text_of(log: Path) -> str:
    """Return the text of a log without colours; empty if it cannot be read."""
    try:
        return _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def newest_log(tmpdir: Path, since: float) -> Path | None:
    """Return the build log of the package that failed last, or ``None``.

    Portage keeps the build directory of a failed package, with its log or a link into
    PORT_LOGDIR, and removes the build directories of other packages.
    """
    logs = [log for log in tmpdir.glob("portage/*/*/temp/build.log") if _mtime(log) >= since - 1]
    return Path(os.path.realpath(max(logs, key=_mtime))) if logs else None


def _mtime(path: os.PathLike[str]) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


def last_words(log: Path) -> str:
    """Return the last error line in the log, or an empty string."""
    lines = text_of(log).splitlines()
    said = [line.strip() for line in lines if line.startswith(("!!! ", "ERROR: "))]
    return said[-1].lstrip("! ") if said else ""


_EMERGING = re.compile(r"^>>> (?:Emerging|Installing)(?: binary)? \(\d+ of \d+\) (\S+?)(?:::|$)")
"""The lines of ``_emerge.Scheduler`` and ``_emerge.MergeListItem``."""


@dataclass(frozen=True)
class Cause:
    """Why an emerge failed, as far as its logs say it."""

    package: str
    """``category/name-version``; empty before the first package."""
    phase: str
    reason: str
    log: Path
    """The log of the build, or of emerge."""

    def __str__(self) -> str:
        where = self.package or "before the first package"
        phase = f", phase {self.phase}" if self.phase else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{where}{phase}{reason}; the log is {self.log}"

    def details(self) -> dict[str, Any]:
        """Return the arguments of :class:`~flatcar_prefix.errors.BuildError` of these names."""
        return {name: getattr(self, name) for name in ("package", "phase", "log", "reason")}


def cause(log: Path, tmpdir: Path, since: float) -> Cause:
    """Return the cause of a failure of the emerge that wrote ``log``.

    ``tmpdir`` is its PORTAGE_TMPDIR, and ``since`` the time of its start.
    """
    build_log = newest_log(tmpdir, since)
    died = death(build_log) if build_log else None
    died = died or death(log)
    if died is None:
        return Cause(_package(log), "", last_words(log), build_log or log)
    return Cause(died.package, died.phase, died.reason, build_log or log)


def _package(log: Path) -> str:
    """Return the package that emerge processed last, or an empty string."""
    found = None
    for line in text_of(log).splitlines():
        found = _EMERGING.match(line) or found
    return found[1] if found else ""
