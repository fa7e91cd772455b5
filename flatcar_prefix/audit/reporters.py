# SPDX-License-Identifier: BSD-3-Clause
"""A report as people and as programs read it. Pure functions from report to text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from flatcar_prefix.audit.findings import ERROR, NOTE, WARNING, Finding, Report

FORMAT = 1
"""Of the JSON; higher when a key changes its meaning or goes away."""

_COLOURS = {ERROR: "\x1b[31;01m", WARNING: "\x1b[33;01m", NOTE: "\x1b[32;01m"}
_LIBC = {
    "source": "C library built for the prefix",
    "import": "C library imported from the toolchain",
    "none": "no C library",
}
_RESET = "\x1b[39;49;00m"


def as_json(report: Report) -> str:
    """Return the report as JSON with sorted keys; no times, so equal trees give equal text."""
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
    """Return the findings in Portage's style, by code, each code's hint once; then the summary."""
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
        for finding in found:
            owner = f" [{finding.package}]" if finding.package else ""
            yield f"{star}   {printable(finding.path)}{owner}: {printable(finding.message)}"
        yield f"{star}   -> {hint}"
        yield star
    for finding, reason in report.waived:
        star = _star(NOTE, colour)
        path = printable(finding.path)
        yield f"{star} waived: {finding.code}: {path}: {printable(reason)}"


def summary(report: Report, *, colour: bool = False) -> str:
    """Return one line: what was looked at, and what came of it."""
    counts, numbers = report.counts, report.statistics
    level = NOTE if report.ok and not counts[WARNING] else WARNING if report.ok else ERROR
    found = ", ".join(
        _plural(counts[key], key) for key in (ERROR, WARNING, NOTE) if counts[key] or key == ERROR
    )
    extra = [f"{counts['waived']} waived"] if counts["waived"] else []
    extra += [_LIBC[report.libc]]
    extra += [] if report.owners else ["owners not asked for"]
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
    """Return text from a file or its name with nothing in it that a terminal would obey."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
