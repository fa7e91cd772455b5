# SPDX-License-Identifier: BSD-3-Clause
"""The audit: run all checks on all files of a tree, in two passes.

The first pass examines each file, and the libraries that each program loads. The second
pass loads each library that no program is linked against on its own, because programs
can load it with ``dlopen``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from flatcar_prefix.audit.checks.elf_files import check_environment, check_loader, symbol_finding
from flatcar_prefix.audit.checks.ownership import check_owner
from flatcar_prefix.audit.checks.permissions import Doors
from flatcar_prefix.audit.checks.portability import check_beside, check_place
from flatcar_prefix.audit.checks.python_modules import check_imports
from flatcar_prefix.audit.examiner import Job, Outcome
from flatcar_prefix.audit.findings import NOTE, WARNING, Finding, Report, Statistics, strictly
from flatcar_prefix.audit.loader import Loader
from flatcar_prefix.audit.symbols import Resolution, Unresolved
from flatcar_prefix.audit.tree import Closed, NotShipped, Tree, walk, walk_beside
from flatcar_prefix.audit.waivers import Waiver, reason_for
from flatcar_prefix.audit.workers import Work, start_workers

Progress = Callable[[Statistics], None]

_FOR_DEBUGGERS = "libthread_db.so"
"""The library of glibc that calls functions of the debugger (proc_service.h)."""

_BATCH = 64
_ALONE = 4 * _BATCH
"""For fewer files than this, starting processes takes longer than it saves."""


@dataclass
class _Audit:
    tree: Tree
    progress: Progress
    findings: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)
    libraries: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    loaded_names: set[str] = field(default_factory=set)
    programs: list[str] = field(default_factory=list)
    python: list[str] = field(default_factory=list)
    exposed: list[str] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)

    def found(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.findings.setdefault(finding.key, finding)

    def take(self, outcome: Outcome) -> None:
        self.found(outcome.findings)
        self.statistics.add(outcome.statistics)
        self.libraries += outcome.libraries
        self.reached.update(outcome.reached)
        self.loaded_names.update(outcome.loaded_names)
        self.programs += outcome.programs
        self.exposed += outcome.exposed
        self.python += outcome.python
        self.unresolved += outcome.unresolved
        self.progress(self.statistics)

    def jobs(self) -> Iterator[Job]:
        """Yield the files and links to examine; handle all other entries of the walk."""
        owners, doors = self.tree.owners, Doors(self.tree)
        for entry in walk(self.tree):
            if isinstance(entry, NotShipped):
                self.statistics.not_shipped += entry.files
                if entry.error:
                    message = f"cannot be read, so its files are not counted: {entry.error}"
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
        """Add the findings about libraries that the second pass loaded on their own."""
        self.found(self._lucky(finding) for finding in outcome.findings)
        if not self.tree.layers:
            # The programs of other packages that load the library are unknown.
            self.unresolved += (each for each in outcome.unresolved if _expects_all(each))
        self.progress(self.statistics)

    def settle(self, loader: Loader) -> None:
        """Add findings about symbols that no file of the prefix defines, or only another program.

        A library that no program is linked against can use the symbols of the program that
        loads it. A program starts without the functions that it first uses later.
        """
        wanted = {symbol for each in self.unresolved for symbol in each.symbols}
        files = chain(sorted(self.reached), self.libraries, self.programs)
        nowhere = Resolution(loader).undefined(wanted, files)
        for each in self.unresolved:
            if left := each.symbols & nowhere:
                level = "" if each.at_once or not each.alone else WARNING
                self.found([symbol_finding(each._replace(symbols=left), level)])
            elif not each.alone:
                self.found([symbol_finding(each, WARNING)])

    def _lucky(self, finding: Finding) -> Finding:
        """Return ``elf-needed-luck`` for a missing library that some program loads."""
        if finding.code == "elf-needed" and finding.subject in self.loaded_names:
            message = f"needs {finding.subject}, found only if the program has already loaded it"
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
    """Audit a tree and return the report.

    ``strict`` turns warnings into errors. ``found_before`` are findings to add to the
    report. ``package`` is the cpv that owns all files; it replaces the tree's owners.
    ``installed`` is the ``portage.dbapi`` that has SLOT and USE of the tree's owners.
    ``jobs`` is the number of processes. By default, a large tree uses two processes on a
    machine with two or more processors. Raise :class:`PrefixError` if a process is killed.
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
    state.settle(loader)
    if not tree.layers:
        # At build time, a dependency can be missing that is installed later.
        state.found(check_imports(loader.resolver, state.python))
    state.found(check_environment(loader, state.exposed))
    if tree.owners is not None:
        state.statistics.packages = len(tree.owners.packages)
    report = _report(state, strict, tuple(waivers), package, installed)
    libc = tree.libc if loader.file else "none"
    return replace(report, libc=libc, seconds=time.monotonic() - started)


def _expects_all(unresolved: Unresolved) -> bool:
    """Return whether a library's symbols must be in the prefix; a debugger can be outside."""
    return not os.path.basename(unresolved.file).startswith(_FOR_DEBUGGERS)


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
