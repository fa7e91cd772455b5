# SPDX-License-Identifier: BSD-3-Clause
"""Provenance of an image and of its packages: in-toto statements with SLSA v1 provenance.

See slsa.dev/spec/v1.0/provenance and in-toto's Statement v1. docs/shipping.md describes the
build types and their parameters.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.image.components import LIBC, RUNTIME, Component
from flatcar_prefix.image.selection import Entry
from flatcar_prefix.image.sources import Source
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.system import process
from flatcar_prefix.version import __version__

SUFFIX = ".provenance.json"
DIRECTORY = "usr/share/SLSA"
"""The directory of the packages' statements, relative to EPREFIX; Flatcar's is /usr/share/SLSA."""

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPES = "tag:flatcar-prefix,2026:build-type"
"""The start of the URIs of the build types ``sysext/v1`` and ``ebuild/v1``."""

_FLAGS = ("CFLAGS", "CXXFLAGS", "LDFLAGS", "CHOST", "CBUILD", "FEATURES", "USE", "EAPI")
_TOOLCHAIN = (LIBC, RUNTIME)


def check_builder(builder: str) -> None:
    """Raise :class:`UsageError` if ``builder`` is not an absolute URI (RFC 3986)."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x20<>\"{}|\\^`]+", builder):
        raise UsageError(
            f"--provenance {builder!r} is not a URI",
            hint="Use the URI of the system that builds, such as https://ci.example.org/prefixes.",
        )


class Recorder:
    """Makes the statements of one image."""

    def __init__(self, root: Root, builder: str) -> None:
        self.root, self.builder = root, builder
        self.repositories = {each.name: each for each in root.prefix.repositories}
        self.commits = {name: _descriptor(each) for name, each in self.repositories.items()}

    def image(
        self, subject: Mapping[str, str], options: Mapping[str, Any], found: Iterable[Component]
    ) -> dict[str, Any]:
        """Return the statement about an image: ``subject`` has its name and its SHA-256."""
        prefix, components = self.root.prefix, tuple(found)
        dependencies = [each for each in self.commits.values() if each]
        for component in components:
            dependencies += self._inputs(component)
        return self._statement(
            [{"name": subject["name"], "digest": {"sha256": subject["sha256"]}}],
            "sysext/v1",
            external={
                "eprefix": prefix.eprefix,
                "board": prefix.board.name,
                "profile": prefix.profile,
                "bootstrap": prefix.bootstrap,
                "packages": [f"={each.package.cpv}" for each in components],
                "options": dict(options),
            },
            internal={"toolchain": _toolchain(prefix)},
            dependencies=dependencies,
        )

    def packages(self, found: Iterable[Component]) -> Iterator[Entry]:
        """Yield a file for the image for each package: the statement about its files."""
        for component in found:
            text = _to_json(self._package(component)).encode()
            name = component.package.cpv.replace("/", "_")
            path = f"{self.root.prefix.eprefix.strip('/')}/{DIRECTORY}/{name}.json"
            yield Entry(path, stat.S_IFREG | 0o644, len(text), content=text)

    def _package(self, component: Component) -> dict[str, Any]:
        package = component.package
        # Without BUILD_TIME: builds of the same sources give the same image.
        values = self.root.vardb.aux_get(package.cpv, list(_FLAGS))
        recorded = {key: value for key, value in zip(_FLAGS, values, strict=True) if value}
        repository = self.commits.get(package.repository)
        return self._statement(
            [_subject(entry) for entry in component.entries],
            "ebuild/v1",
            external={"package": f"={package.cpv}", "repository": package.repository},
            internal={"toolchain": _toolchain(self.root.prefix), "variables": recorded},
            dependencies=[*([repository] if repository else []), *self._inputs(component)],
        )

    def _inputs(self, component: Component) -> Iterator[dict[str, Any]]:
        """Yield the ebuild that the VDB has, and the sources."""
        package = component.package
        category, _, name = package.name.partition("/")
        pf = f"{name}-{package.version}"
        text = _ebuild(self.root, category, pf)
        if text:
            yield {
                "name": f"{package.repository}/{category}/{name}/{pf}.ebuild",
                "digest": {"sha256": hashlib.sha256(text).hexdigest()},
            }
        yield from map(_source, component.sources)
        if package.name in _TOOLCHAIN:
            yield {
                "name": component.upstream.name,
                "uri": component.upstream.purl,
                "digest": _digest_of(component.entries),
                "annotations": {"origin": "files of the toolchain"},
            }

    def _statement(
        self,
        subject: Sequence[Mapping[str, Any]],
        kind: str,
        *,
        external: Mapping[str, Any],
        internal: Mapping[str, Any],
        dependencies: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        from portage import VERSION

        version = {"flatcar-prefix": __version__, "portage": str(VERSION)}
        return {
            "_type": STATEMENT,
            "subject": [dict(each) for each in subject],
            "predicateType": PREDICATE,
            "predicate": {
                "buildDefinition": {
                    "buildType": f"{BUILD_TYPES}/{kind}",
                    "externalParameters": dict(external),
                    "internalParameters": dict(internal),
                    "resolvedDependencies": [dict(each) for each in dependencies],
                },
                "runDetails": {"builder": {"id": self.builder, "version": version}},
            },
        }


def _subject(entry: Entry) -> dict[str, Any]:
    name = entry.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return {"name": name, "digest": {"sha512": hashlib.sha512(entry.read()).hexdigest()}}


def _source(source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {"name": source.name, "digest": dict(source.digests)}
    if url := source.url or next(iter(source.urls), ""):
        found["uri"] = url
    return found


def _digest_of(entries: Iterable[Entry]) -> dict[str, str]:
    """Return one digest for several files: that of the text that sha256sum(1) prints for them."""
    lines = [
        f"{hashlib.sha256(entry.read()).hexdigest()}  {os.path.basename(entry.path)}\n"
        for entry in entries
    ]
    text = "".join(sorted(lines)).encode("utf-8", "surrogateescape")
    return {"sha256": hashlib.sha256(text).hexdigest()}


def _ebuild(root: Root, category: str, pf: str) -> bytes:
    """Return the ebuild of an installed package, which the VDB keeps."""
    path = root.trees["vartree"].dbapi.findname(f"{category}/{pf}")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _toolchain(prefix: Prefix) -> dict[str, str]:
    toolchain = prefix.toolchain
    found = {"kind": toolchain.kind, "compiler": toolchain.version}
    return found | ({"libc": toolchain.libc_version} if toolchain.libc_version else {})


def _descriptor(repository: Repository) -> dict[str, Any] | None:
    """Return the commit of a repository in a Git checkout, or None outside of one."""
    # These two commands only read; a checkout can belong to another user.
    anyone = ("-c", "safe.directory=*")
    commit = _git(repository, *anyone, "rev-parse", "HEAD")
    if not commit:
        return None
    found: dict[str, Any] = {"name": repository.name, "digest": {"gitCommit": commit}}
    if url := _public(_git(repository, *anyone, "remote", "get-url", "origin")):
        found["uri"] = f"git+{url}"
    if _git(repository, "status", "--porcelain", "--", "."):
        found["annotations"] = {"modified": True}
    return found


def _git(repository: Repository, *words: str) -> str:
    argv = ["git", "-C", os.fspath(repository.location), *words]
    try:
        result = process.run(argv, env=process.environment(), check=False, capture=True)
    except PrefixError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _public(url: str) -> str:
    """Return the URL of a remote without a user and a password; empty for a local path."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh", "git") or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{quote(parts.path, safe='/%~')}"


def _to_json(data: Mapping[str, Any]) -> str:
    from flatcar_prefix.image.manifest import to_json

    return to_json(data)
