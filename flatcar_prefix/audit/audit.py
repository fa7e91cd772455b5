# SPDX-License-Identifier: BSD-3-Clause
"""The audit: every file of a tree past every check, in two passes.

The first looks at each file, and at what each program loads. Libraries that no program
was linked against are loaded on their own in the second, since something will
``dlopen`` them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from flatcar_prefix.audit.checks.elf_files import check_loader
from flatcar_prefix.audit.checks.ownership import check_owner
from flatcar_prefix.audit.checks.permissions import Doors
from flatcar_prefix.audit.checks.portability import check_beside, check_place
from flatcar_prefix.audit.examiner import Job, Outcome
from flatcar_prefix.audit.findings import NOTE, Finding, Report, Statistics, strictly
from flatcar_prefix.audit.loader import Loader
from flatcar_prefix.audit.tree import Closed, NotShipped, Tree, walk, walk_beside
from flatcar_prefix.audit.waivers import Waiver, reason_for
from flatcar_prefix.audit.workers import Work, start_workers

Progress = Callable[[Statistics], None]

_BATCH = 64
_ALONE = 4 * _BATCH
"""Up to so many files, starting processes costs more than it gains."""


@dataclass
class _Audit:
    tree: Tree
    progress: Progress
    findings: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)
    libraries: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    loaded_names: set[str] = field(default_factory=set)

    def found(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.findings.setdefault(finding.key, finding)

    def take(self, outcome: Outcome) -> None:
        self.found(outcome.findings)
        self.statistics.add(outcome.statistics)
        self.libraries += outcome.libraries
        self.reached.update(outcome.reached)
        self.loaded_names.update(outcome.loaded_names)
        self.progress(self.statistics)

    def jobs(self) -> Iterator[Job]:
        """Yield what to look at, and deal with what needs no look."""
        owners, doors = self.tree.owners, Doors(self.tree)
        for entry in walk(self.tree):
            if isinstance(entry, NotShipped):
                self.statistics.not_shipped += entry.files
                if entry.error:
                    message = f"cannot be read, nor its files be counted: {entry.error}"
                    self.found([Finding("unreadable", entry.path, message, NOTE)])
            elif isinstance(entry, Closed):
                doors.closed(entry)
            elif entry.error:
                message = f"cannot be read: {entry.error}"
                self.found([Finding("unreadable", entry.path, message)])
            else:
                doors.passed(entry)
                self.found(check_owner(self.tree, entry))
                owner = owners.get(entry.path) if owners else None
                yield Job(*entry[:3], owner.digest if owner else b"")
        self.found(doors.check(self.tree))

    def alone(self, outcome: Outcome) -> None:
        """Take the findings about libraries that were loaded on their own."""
        self.found(self._lucky(finding) for finding in outcome.findings)
        self.progress(self.statistics)

    def _lucky(self, finding: Finding) -> Finding:
        """Return a finding about what may be there already when a library is loaded."""
        if finding.code == "elf-needed" and finding.subject in self.loaded_names:
            message = f"needs {finding.subject}, which is found only if a program has it loaded"
            return Finding("elf-needed-luck", finding.path, message, subject=finding.subject)
        return finding


def audit(
    tree: Tree,
    *,
    strict: bool = False,
    waivers: Iterable[Waiver] = (),
    found_before: Iterable[Finding] = (),
    package: Any = None,
    installed: Any = None,
    jobs: int | None = None,
    progress: Progress = lambda _: None,
) -> Report:
    """Return what is wrong with a tree.

    ``strict`` makes errors of warnings. ``found_before`` goes into the report as well.
    ``package`` is the cpv that everything belongs to, in place of the tree's owners;
    ``installed`` the ``portage.dbapi`` that knows more of these.
    ``jobs`` is the number of processes, two by default where the machine has them.
    """
    started = time.monotonic()
    state = _Audit(tree, progress)
    state.found(found_before)
    state.found(check_place(tree))
    loader = Loader(tree)
    state.found(check_loader(loader))
    for entry in walk_beside(tree):
        state.found(check_beside(entry))
    files = state.jobs()
    first = list(islice(files, _ALONE))
    if jobs is None:
        jobs = min(2, os.cpu_count() or 1) if len(first) == _ALONE else 1
    with start_workers(replace(tree, owners=None), jobs) as workers:
        for outcome in workers.run(_batches("examine", chain(first, files))):
            state.take(outcome)
        alone = (path for path in state.libraries if path not in state.reached)
        for outcome in workers.run(_batches("load_alone", alone)):
            state.alone(outcome)
    if tree.owners is not None:
        state.statistics.packages = len(tree.owners.packages)
    report = _report(state, strict, tuple(waivers), package, installed)
    libc = tree.libc if loader.file else "none"
    return replace(report, libc=libc, seconds=time.monotonic() - started)


def _batches(method: str, items: Iterable[Any]) -> Iterator[Work]:
    items = iter(items)
    while batch := list(islice(items, _BATCH)):
        yield method, batch


def _report(
    state: _Audit, strict: bool, waivers: tuple[Waiver, ...], package: Any, installed: Any
) -> Report:
    tree = state.tree
    findings: list[Finding] = []
    waived: list[tuple[Finding, str]] = []
    for finding in sorted(state.findings.values(), key=lambda f: (f.path, f.code, f.message)):
        owner = package or finding.package or _owner(tree, finding.path)
        finding = replace(finding, package=str(owner) if owner else None)
        reason = reason_for(finding, waivers, package, installed)
        if reason is not None:
            waived.append((finding, reason))
        else:
            findings.append(strictly(finding) if strict else finding)
    return Report(
        root=os.fspath(tree.root),
        eprefix=tree.eprefix,
        board=tree.board.name,
        findings=tuple(findings),
        waived=tuple(waived),
        statistics=state.statistics,
        owners=tree.owners is not None,
    )


def _owner(tree: Tree, path: str) -> str | None:
    owner = tree.owners.get(path) if tree.owners is not None else None
    return owner.package if owner else None
