# SPDX-License-Identifier: BSD-3-Clause
"""What the packages of an image are for a vulnerability scanner: upstream's name and version.

A component has a package URL of a registered type, a CPE, and the sources. A package without a
file in the image, such as a virtual, is no component.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from packaging.utils import canonicalize_name

from flatcar_prefix.equery import metadata_xml
from flatcar_prefix.image import bundled
from flatcar_prefix.image.manifest import Package
from flatcar_prefix.image.selection import Entry, Selection
from flatcar_prefix.image.sources import Source, sources
from flatcar_prefix.prefix.model import Root

LIBC, RUNTIME = "prefix/imported-libc", "prefix/gcc-runtime"
"""Packages with files of the toolchain. Their own versions are those of the ebuilds."""

_CPE = {LIBC: "cpe:/a:gnu:glibc", RUNTIME: "cpe:/a:gnu:gcc"}

_GLIBC = re.compile(
    rb"GNU C Library \((?P<by>[^)\n]*)\) \w+ release version (?P<version>\d+(?:\.\d+)+)"
)
_GCC = re.compile(r"\((?P<by>[^)]*)\) (?P<version>\d+(?:\.\d+)+)")
_DISTRIBUTION = re.compile(r"(?P<id>Debian|Ubuntu)(?: E?GLIBC)? (?P<version>\d\S*-\S+)")


@dataclass(frozen=True)
class Upstream:
    """The software that a package contains."""

    name: str
    version: str
    """Upstream's version, or an empty text if it is unknown."""
    purl: str
    supplier: str


@dataclass(frozen=True)
class Component:
    """A part of an image, with the facts that a scanner uses."""

    upstream: Upstream
    package: Package
    cpe: str
    """A CPE 2.3 name, or an empty text if the version is unknown."""
    sources: tuple[Source, ...] = ()
    entries: tuple[Entry, ...] = ()
    """Its regular files in the image."""
    parts: tuple[bundled.Project, ...] = field(default=())
    """Projects of PyPI in its files, which have versions of their own."""


def components(
    root: Root, selection: Selection, packages: Sequence[Package]
) -> tuple[Component, ...]:
    """Return the components of an image, in the order of ``packages``."""
    return tuple(_component(root, selection, each) for each in packages if each.files)


def _component(root: Root, selection: Selection, package: Package) -> Component:
    entries = [selection.by_path[path.lstrip("/")] for path in package.files]
    files = tuple(entry for entry in entries if entry.is_file)
    found = bundled.projects(files)
    upstream = _upstream(root, package, files, found)
    own = (canonicalize_name(upstream.name), upstream.version)
    return Component(
        upstream=upstream,
        package=package,
        cpe=_cpe(_cpe_start(root, package), upstream),
        sources=sources(root, package.cpv),
        entries=files,
        parts=tuple(one for one in found if (one.name, one.version) != own),
    )


def _upstream(
    root: Root, package: Package, files: Iterable[Entry], found: Iterable[bundled.Project]
) -> Upstream:
    if package.name == LIBC:
        text = next((e.read() for e in files if e.path.endswith("/libc.so.6")), b"")
        match = _GLIBC.search(text)
        by, version = (match["by"].decode(), match["version"].decode()) if match else ("", "")
        return _of_toolchain("glibc", "glibc", by, version)
    if package.name == RUNTIME:
        said = _GCC.search(root.prefix.toolchain.version)
        by, version = (said["by"], said["version"]) if said else ("", "")
        return _of_toolchain("gcc", f"gcc-{version.partition('.')[0]}", by, version)
    name = package.name.partition("/")[2]
    version = re.sub(r"-r\d+\Z", "", package.version)
    own = (canonicalize_name(name), version)
    is_project = any((one.name, one.version) == own for one in found)
    kind, spelled = ("pypi", str(own[0])) if is_project else ("generic", name)
    supplier = f"ebuild repository {package.repository or 'unknown'}"
    return Upstream(name, version, purl(kind, spelled, version), supplier)


def _of_toolchain(name: str, source: str, by: str, version: str) -> Upstream:
    """Return a package of the toolchain's distribution, if its version text names one.

    ``source`` is the name of Debian's source package.
    """
    if match := _DISTRIBUTION.fullmatch(by):
        spelled = f"{match['id'].lower()}/{source}"
        return Upstream(
            name, version, purl("deb", spelled, match["version"]) + "?arch=source", match["id"]
        )
    return Upstream(name, version, purl("generic", name, version), by or "unknown")


def purl(kind: str, name: str, version: str) -> str:
    """Return a package URL as in the package-url specification: gtk+ is percent-encoded.

    ``name`` can have a namespace before a slash. The type ``ebuild`` is not registered.
    """
    start = f"pkg:{kind}/{quote(name, safe='/')}"
    return f"{start}@{quote(version, safe=':')}" if version else start


def _cpe_start(root: Root, package: Package) -> str:
    """Return the CPE 2.2 URI in the package's metadata.xml (remote-id), without a version.

    Without one, the vendor is any, and the product has the name of the package.
    """
    if package.name in _CPE:
        return _CPE[package.name]
    for repository in root.prefix.repositories:
        if repository.name == package.repository:
            path = Path(repository.location, package.name, "metadata.xml")
            for name, site in _remote_ids(path):
                if site == "cpe" and name.startswith("cpe:/"):
                    return name
    return f"cpe:/a:*:{package.name.partition('/')[2]}"


def _remote_ids(path: Path) -> Iterable[tuple[str, str]]:
    try:
        data = metadata_xml.parse(path.read_bytes())
    except (OSError, metadata_xml.MetadataError):
        return ()
    return (pair for upstream in data.upstreams for pair in upstream.remote_ids)


def _cpe(start: str, upstream: Upstream) -> str:
    """Return the CPE 2.3 formatted string for a CPE 2.2 URI and upstream's version."""
    if not upstream.version:
        return ""
    words = [*start.removeprefix("cpe:/").split(":"), "*", "*"][:3]
    part, vendor, product = (word or "*" for word in words)
    spelled = [word if word == "*" else _escaped(word) for word in (vendor, product)]
    return ":".join(["cpe:2.3", part, *spelled, _escaped(upstream.version), *"*" * 7])


def _escaped(word: str) -> str:
    """Return a word with the escapes of CPE 2.3: all but letters, digits and ``_ . -``."""
    return re.sub(r"([^\w.-])", r"\\\1", word.lower().replace("%2b", "+"), flags=re.ASCII)
