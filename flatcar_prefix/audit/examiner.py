# SPDX-License-Identifier: BSD-3-Clause
"""The examination of single files; each file is opened once and read once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from flatcar_prefix.audit.checks.build_paths import (
    Forbidden,
    Hit,
    Scan,
    check_content,
    check_hidden,
    check_name,
    is_text,
)
from flatcar_prefix.audit.checks.elf_files import (
    check_executable,
    check_loaded,
    check_machine,
    check_object,
    exposed,
    symbol_finding,
)
from flatcar_prefix.audit.checks.host_paths import check_host_paths
from flatcar_prefix.audit.checks.ownership import check_digest
from flatcar_prefix.audit.checks.permissions import attributes, check_readable, check_rights
from flatcar_prefix.audit.checks.portability import check_portability, cpu_level, kernel
from flatcar_prefix.audit.checks.python_modules import is_program
from flatcar_prefix.audit.checks.scripts import check_script, check_text
from flatcar_prefix.audit.checks.symlinks import check_link
from flatcar_prefix.audit.elf import ET_DYN, ET_EXEC, MAGIC, Elf, ElfError, Source, read_elf
from flatcar_prefix.audit.findings import Finding, Statistics
from flatcar_prefix.audit.loader import Loader, fits, refused
from flatcar_prefix.audit.symbols import Resolution, Unresolved
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.audit.vdb_owners import link_digest

CHUNK = 1 << 20
_DEBUG = ("/usr/lib/debug/", ".debug")
_INCOMPLETE = {"elf-needed", "elf-version", "elf-broken"}
_BUILD_PATH_IN_HEADERS = {"elf-rpath-build", "elf-interpreter", "elf-interpreter-library"}


class Job(NamedTuple):
    """A file or link to examine."""

    path: str
    local: str
    mode: int
    digest: bytes
    """The MD5 that the VDB records; empty if it is unknown."""


@dataclass
class Outcome:
    """The results of some jobs."""

    findings: list[Finding] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)
    libraries: list[str] = field(default_factory=list)
    """The libraries found; the second pass loads those that no program loads."""
    reached: list[str] = field(default_factory=list)
    """The libraries that programs load; each examiner reports a library once."""
    programs: list[str] = field(default_factory=list)
    """The programs found; they can define symbols for libraries that they load."""
    python: list[str] = field(default_factory=list)
    """The programs with a Python interpreter."""
    exposed: list[str] = field(default_factory=list)
    """Programs without DT_RPATH, and libraries with RUNPATH: LD_LIBRARY_PATH precedes it."""
    unresolved: list[Unresolved] = field(default_factory=list)
    """Symbols that the audit resolves with all files, after the other checks."""
    loaded_names: list[str] = field(default_factory=list)
    """Their sonames, or file names without a soname, as in NEEDED."""


class Examiner:
    """Examines the files of one tree; caches only the most recently used libraries."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.loader = Loader(tree)
        self.forbidden = Forbidden(tree.forbidden_paths, tree.eprefix)
        self._reached: set[str] = set()
        self._resolution = Resolution(self.loader)

    def examine(self, jobs: list[Job]) -> Outcome:
        """Check each file, and the libraries that each program loads; return the results."""
        outcome = Outcome()
        for job in jobs:
            if stat.S_ISLNK(job.mode):
                self._link(job, outcome)
            elif stat.S_ISREG(job.mode):
                self._file(job, outcome)
            else:
                outcome.statistics.files += 1
                message = "is a device, FIFO or socket"
                outcome.findings.append(Finding("special-file", job.path, message))
        return outcome

    def load_alone(self, paths: list[str]) -> Outcome:
        """Check the libraries that each of these libraries loads on its own."""
        outcome = Outcome()
        for path in paths:
            elf = self.loader.libraries.get(path)
            if elf is not None:
                objects, findings = check_loaded(self.loader, path, elf, program=False)
                outcome.findings += findings
                if not _incomplete(findings):
                    found = self._resolution.unresolved(objects)
                    alone = (each._replace(alone=True) for each in found if each.file == path)
                    outcome.unresolved += alone
        return outcome

    def _link(self, job: Job, outcome: Outcome) -> None:
        outcome.statistics.files += 1
        outcome.statistics.links += 1
        try:
            target = os.readlink(job.local)
        except OSError as error:
            outcome.findings.append(_unreadable(job.path, error))
            return
        found = outcome.findings
        found += check_link(self.loader.resolver, self.forbidden, job.path, target)
        found += check_digest(self.tree, job.path, job.digest, link_digest(target))

    def _file(self, job: Job, outcome: Outcome) -> None:
        outcome.statistics.files += 1
        outcome.findings += check_rights(job.path, job.mode, job.local)
        try:
            fd = os.open(job.local, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            outcome.findings.append(_unreadable(job.path, error))
            return
        outcome.findings += check_readable(job.path, job.mode)
        try:
            size = os.fstat(fd).st_size
            outcome.statistics.bytes += size
            self._content(job, Source(fd, size, os.pread(fd, CHUNK, 0)), outcome)
        except OSError as error:
            outcome.findings.append(_unreadable(job.path, error))
        finally:
            os.close(fd)

    def _content(self, job: Job, source: Source, outcome: Outcome) -> None:
        found: list[Finding] = []
        head, text = source.head, False
        if head.startswith(MAGIC):
            outcome.statistics.elf += 1
            found += self._elf(job, source, outcome)
        elif head.startswith(b"#!") and job.mode & 0o111:
            outcome.statistics.scripts += 1
            found += check_script(self.loader.resolver, job.path, head)
            if is_program(head):
                outcome.python.append(job.path)
            text = is_text(head)
        elif head:
            text = is_text(head)
            if text:
                found += check_text(job.path, job.mode, head)
        outcome.statistics.text += text
        hit, digest = self._read(source, text=text, with_digest=bool(job.digest))
        if not _BUILD_PATH_IN_HEADERS & {finding.code for finding in found}:
            line = _line(source, hit) if hit and text else 0
            found += check_content(job.path, hit, text=text, line=line)
        if hit is None:
            found += check_hidden(self.forbidden, job.path, job.local, head, text=text)
        if text:
            found += check_host_paths(self.tree, job.path, head)
        inside = self.tree.relative(job.path)
        found += check_name(self.forbidden, job.path, inside, attributes(job.local))
        found += check_digest(self.tree, job.path, job.digest, digest)
        outcome.findings += found

    def _read(self, source: Source, *, text: bool, with_digest: bool) -> tuple[Hit | None, bytes]:
        """Return the first forbidden path in a file, and the file's MD5 if requested."""
        scan = Scan(self.forbidden, text=text)
        md5 = hashlib.md5(usedforsecurity=False)
        offset = 0
        for chunk in _chunks(source):
            offset += len(chunk)
            scan.feed(chunk, last=offset >= source.size)
            if with_digest:
                md5.update(chunk)
            elif scan.done:
                break
        return scan.hit, md5.digest()

    def _elf(self, job: Job, source: Source, outcome: Outcome) -> list[Finding]:
        path = job.path
        try:
            elf = read_elf(source)
        except ElfError as error:
            return [Finding("elf-broken", path, f"is broken: {error}")]
        found = list(check_machine(self.tree.board, path, elf))
        debug = path.startswith(self.tree.eprefix + _DEBUG[0]) or path.endswith(_DEBUG[1])
        if found or debug or elf.type not in (ET_DYN, ET_EXEC) or not fits(elf, self.tree.board):
            return found
        found += check_object(self.loader, self.forbidden, path, elf)
        found += check_executable(path, job.mode, elf)
        found += check_portability(path, elf)
        numbers = Statistics(kernel=kernel(elf), cpu=cpu_level(path, elf))
        outcome.statistics.add(numbers)
        found += self._loaded(path, elf, outcome)
        return found

    def _loaded(self, path: str, elf: Elf, outcome: Outcome) -> list[Finding]:
        if not elf.dynamic:
            return []
        if self.tree.environment and exposed(elf):
            outcome.exposed.append(path)
        if not elf.is_program and elf.type == ET_DYN:
            outcome.libraries.append(path)
            self.loader.libraries.put(path, refused(elf))
            return []
        objects, findings = check_loaded(self.loader, path, elf, program=True)
        outcome.programs.append(path)
        if not _incomplete(findings):
            for unresolved in self._resolution.unresolved(objects):
                if unresolved.at_once:
                    findings.append(symbol_finding(unresolved))
                else:
                    outcome.unresolved.append(unresolved)
        for loaded in objects[1:]:
            if loaded.file not in self._reached:
                self._reached.add(loaded.file)
                outcome.reached.append(loaded.file)
                name = loaded.elf.soname or os.path.basename(loaded.path)
                outcome.loaded_names.append(name)
        return findings


def _unreadable(path: str, error: OSError) -> Finding:
    return Finding("unreadable", path, f"cannot be read: {error.strerror}")


def _incomplete(findings: list[Finding]) -> bool:
    """Return whether a library is missing, so that missing symbols have a known cause."""
    return any(finding.code in _INCOMPLETE for finding in findings)


def _chunks(source: Source) -> Iterator[bytes]:
    """Yield the whole file in chunks, the head first."""
    offset, chunk = 0, source.head
    while chunk:
        yield chunk
        offset += len(chunk)
        chunk = os.pread(source.fd, CHUNK, offset) if offset < source.size else b""


def _line(source: Source, hit: Hit) -> int:
    """Return the line number of a hit, counted from 1."""
    line, offset = 1, 0
    while offset < hit.offset:
        chunk = os.pread(source.fd, min(CHUNK, hit.offset - offset), offset)
        if not chunk:
            break
        line += chunk.count(b"\n")
        offset += len(chunk)
    return line
