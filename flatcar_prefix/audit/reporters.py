# SPDX-License-Identifier: BSD-3-Clause
"""Reporters: pure functions that turn a report into text or JSON."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from flatcar_prefix.audit.findings import ERROR, NOTE, WARNING, Finding, Report

FORMAT = 1
"""The version of the JSON format. It increases if a key changes its meaning or is removed."""

_ALIKE = 10
"""As many equal findings of one directory have a line each; more have one line."""
_DEPTH = 3
"""The number of parts of a path below EPREFIX that make a directory in this sense."""

_COLOURS = {ERROR: "\x1b[31;01m", WARNING: "\x1b[33;01m", NOTE: "\x1b[32;01m"}
_LIBC = {
    "source": "C library built for the prefix",
    "import": "C library imported from the toolchain",
    "none": "no C library",
}
_RESET = "\x1b[39;49;00m"


def as_json(report: Report) -> str:
    """Return the report as JSON with sorted keys, without times: equal trees give equal text."""
    data = {
        "format": FORMAT,
        "root": report.root,
        "eprefix": report.eprefix,
        "board": report.board,
        "libc": report.libc,
        "owners": report.owners,
        "ok": report.ok,
        "counts": report.counts,
        "statistics": asdict(report.statistics),
        "findings": [_finding(finding) for finding in report.findings],
        "waived": [{**_finding(f), "reason": reason} for f, reason in report.waived],
    }
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    keys = ("code", "level", "path", "package", "message", "hint")
    return {key: getattr(finding, key) for key in keys}


def as_text(report: Report, *, colour: bool = False) -> str:
    """Return the report in Portage's style: findings by code, a hint per code, the summary."""
    return "".join(
        f"{line}\n" for line in (*_lines(report, colour), summary(report, colour=colour))
    )


def _lines(report: Report, colour: bool) -> Iterator[str]:
    by_code: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in report.findings:
        by_code.setdefault((finding.level, finding.code, finding.hint), []).append(finding)
    order = {ERROR: 0, WARNING: 1, NOTE: 2}
    for (level, code, hint), found in sorted(by_code.items(), key=lambda i: (order[i[0][0]], i[0])):
        star = _star(level, colour)
        yield f"{star} {level}: {code}"
        for path, finding in _grouped(report.eprefix, found):
            owner = f" [{finding.package}]" if finding.package else ""
            yield f"{star}   {printable(path)}{owner}: {printable(finding.message)}"
        yield f"{star}   -> {hint}"
        yield star
    for finding, reason in report.waived:
        star = _star(NOTE, colour)
        path = printable(finding.path)
        yield f"{star} waived: {finding.code}: {path}: {printable(reason)}"


def _grouped(eprefix: str, findings: list[Finding]) -> Iterator[tuple[str, Finding]]:
    """Yield path and finding for each line; one line for many equal findings of a directory.

    The files of one directory of the prefix with one message and owner usually have one cause.
    """
    groups: dict[tuple[str, str | None, str], list[Finding]] = {}
    for finding in findings:
        parts = finding.path.removeprefix(eprefix + "/").split("/")[:-1]
        where = "/".join(parts[:_DEPTH])
        groups.setdefault((where, finding.package, finding.message), []).append(finding)
    for same in groups.values():
        if len(same) <= _ALIKE:
            yield from ((finding.path, finding) for finding in same)
            continue
        common = posixpath.commonpath([posixpath.dirname(finding.path) for finding in same])
        yield f"{common}/: {len(same)} files, the first is {same[0].path}", same[0]


def summary(report: Report, *, colour: bool = False) -> str:
    """Return the summary in one line: the examined files and the numbers of findings."""
    counts, numbers = report.counts, report.statistics
    level = NOTE if report.ok and not counts[WARNING] else WARNING if report.ok else ERROR
    found = ", ".join(
        _plural(counts[key], key) for key in (ERROR, WARNING, NOTE) if counts[key] or key == ERROR
    )
    extra = [f"{counts['waived']} waived"] if counts["waived"] else []
    extra += [_LIBC[report.libc]]
    extra += [] if report.owners else ["owners not checked"]
    extra += [f"Linux {numbers.kernel} or newer"] if numbers.kernel else []
    extra += [f"{numbers.cpu} or better"] if numbers.cpu else []
    rate = f" in {report.seconds:.1f} s" if report.seconds else ""
    looked = f"{_plural(numbers.files, 'file')} ({numbers.elf} ELF){rate}"
    return f"{_star(level, colour)} {report.eprefix}: {'; '.join([looked, found, *extra])}."


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _star(level: str, colour: bool) -> str:
    return f" {_COLOURS[level]}*{_RESET}" if colour else " *"


def printable(text: str) -> str:
    """Return text with all characters escaped that a terminal could interpret as control."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
