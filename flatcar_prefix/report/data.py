# SPDX-License-Identifier: BSD-3-Clause
"""Collect the data of a report from a prefix."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flatcar_prefix.audit.api import verify
from flatcar_prefix.audit.findings import Report as Audit
from flatcar_prefix.emerge import timeline
from flatcar_prefix.image import manifest
from flatcar_prefix.image.selection import REASONS, Entry, Selection, Tally, select
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.prefix.registry import refuse_unconfigured


@dataclass(frozen=True)
class Package:
    """A package of the image."""

    name: str
    """The category and the name."""
    version: str
    licence: str
    spdx: str
    repository: str
    description: str
    size: int
    """The size of its files in the image, in bytes."""
    files: int
    needs: tuple[str, ...] = ()
    """The names of the packages that it needs at run time."""
    checksum: str = ""
    """SHA-256 over the paths and contents of its files in the image."""


@dataclass(frozen=True)
class Build:
    """The build of a package: the times are seconds since the epoch."""

    cpv: str
    start: int
    end: int


@dataclass(frozen=True)
class Finding:
    """A finding of the audit."""

    level: str
    code: str
    path: str
    message: str
    hint: str


@dataclass(frozen=True)
class Data:
    """The data of a report."""

    name: str
    eprefix: str
    board: str
    packages: tuple[Package, ...]
    """In the order of their names."""
    unowned: int = 0
    """The size of files without a package, in bytes."""
    left_out: Mapping[str, Tally] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    kernel: str = ""
    cpu: str = ""
    builds: tuple[Build, ...] = ()

    @property
    def size(self) -> int:
        return sum(package.size for package in self.packages) + self.unowned


def collect(prefix: Prefix) -> Data:
    """Return the data of a prefix; change nothing.

    Raise :class:`PrefixError` if final is not set up or a file cannot be read.
    """
    refuse_unconfigured(prefix.final)
    selection = select(prefix.final.path, prefix.eprefix)
    contents = manifest.contents(prefix.final, selection)
    audit = verify(prefix.final, shipped=[f"/{entry.path}" for entry in selection.entries])
    needs = _needs(prefix.final)
    packages = tuple(_package(one, selection, needs) for one in contents.packages)
    return Data(
        name=prefix.id,
        eprefix=prefix.eprefix,
        board=prefix.board.name,
        packages=tuple(sorted(packages, key=lambda package: package.name)),
        unowned=sum(selection.by_path[path.lstrip("/")].size for path in contents.unowned),
        left_out=selection.left_out,
        findings=tuple(_findings(audit)),
        kernel=audit.statistics.kernel,
        cpu=audit.statistics.cpu,
        builds=tuple(builds(prefix.staging.logdir / timeline.LOG)),
    )


def why(rule: str) -> str:
    """Return the reason of a rule of the selection."""
    return REASONS[rule]


def _package(one: manifest.Package, selection: Selection, needs: Mapping[str, set[str]]) -> Package:
    entries = [selection.by_path[path.lstrip("/")] for path in one.files]
    return Package(
        name=one.name,
        version=one.version,
        licence=one.licence,
        spdx=one.spdx,
        repository=one.repository,
        description=one.description,
        size=one.size,
        files=len(one.files),
        needs=tuple(sorted(needs.get(one.name, ()))),
        checksum=_checksum(entries),
    )


def _checksum(entries: Iterable[Entry]) -> str:
    """Return one SHA-256 for the files of a package; empty without files."""
    digest = None
    for entry in entries:
        digest = digest or hashlib.sha256()
        content = entry.target.encode("utf-8", "surrogateescape") if entry.is_link else entry.read()
        path = entry.path.encode("utf-8", "surrogateescape")
        digest.update(b"%s\0%s" % (path, hashlib.sha256(content).digest()))
    return digest.hexdigest() if digest else ""


def _needs(root: Root) -> dict[str, set[str]]:
    """Return the installed packages that each installed package needs at run time."""
    found: dict[str, set[str]] = {}
    for cpv in root.vardb.cpv_all():
        names = found.setdefault(str(cpv.cp), set())
        for atom in _atoms(root, cpv):
            names.update(str(match.cp) for match in root.vardb.match(atom))
        names.discard(str(cpv.cp))
    return found


def _atoms(root: Root, cpv: Any) -> Iterator[Any]:
    from portage.dep import Atom, use_reduce
    from portage.exception import InvalidDependString

    rdepend, pdepend, use, eapi = root.vardb.aux_get(cpv, ["RDEPEND", "PDEPEND", "USE", "EAPI"])
    try:
        words = use_reduce(
            f"{rdepend} {pdepend}", uselist=use.split(), flat=True, eapi=eapi, token_class=Atom
        )
    except InvalidDependString:
        return
    yield from (word for word in words if isinstance(word, Atom) and not word.blocker)


def _findings(audit: Audit) -> Iterator[Finding]:
    for one in audit.findings:
        yield Finding(one.level, one.code, one.path, one.message, one.hint)


def builds(log: Path) -> Iterator[Build]:
    """Yield the last completed build of each package, in the order of their starts.

    ``emerge.log`` has a line when Portage starts with a package and one when it is installed.
    """
    if not log.exists():
        return
    started: dict[str, int] = {}
    done: dict[str, Build] = {}
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for event in timeline.events(lines):
        if not event.done:
            started[event.cpv] = event.time
        elif event.cpv in started:
            done[event.cpv] = Build(event.cpv, started.pop(event.cpv), event.time)
    yield from sorted(done.values(), key=lambda build: (build.start, build.cpv))
