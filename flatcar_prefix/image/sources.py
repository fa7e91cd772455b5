# SPDX-License-Identifier: BSD-3-Clause
"""The files that an ebuild downloads, from SRC_URI and the Manifest of its repository."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flatcar_prefix.prefix.model import Root

HASHES: Mapping[str, str] = {"SHA256": "sha256", "SHA512": "sha512", "BLAKE2B": "blake2b"}
"""The hashes of GLEP 74's Manifest that are passed on, with their names in in-toto."""


@dataclass(frozen=True)
class Source:
    """A file in DISTDIR."""

    name: str
    urls: tuple[str, ...]
    """Where SRC_URI says that it is, with the mirrors of ``mirror://`` URIs inserted."""
    digests: Mapping[str, str]
    """Hexadecimal digests by the name of the hash in in-toto, such as ``sha512``."""

    @property
    def url(self) -> str:
        """The first http, https or ftp URL, or an empty text."""
        schemes = ("https://", "http://", "ftp://")
        found = (url for scheme in schemes for url in self.urls if url.startswith(scheme))
        return next(found, "")


def sources(root: Root, cpv: Any) -> tuple[Source, ...]:
    """Return the files that the ebuild of an installed package downloads, sorted by name.

    The repository is the one from which the package was built, and the USE flags are those of
    the build. Without the ebuild there, the result is empty.
    """
    from portage.exception import PortageException

    repository, use = root.vardb.aux_get(cpv, ["repository", "USE"])
    portdb = root.portdb
    try:
        place = portdb.repositories[repository].location
        ebuild = portdb.findname(str(cpv), mytree=place)
        if not ebuild:
            return ()
        found = portdb.getFetchMap(str(cpv), useflags=set(use.split()), mytree=place)
        digests = _digests(root, repository, os.path.dirname(ebuild))
    except (KeyError, OSError, PortageException):
        return ()
    mirrors = root.settings.thirdpartymirrors()
    return tuple(
        Source(name, tuple(_spelled(found[name], mirrors)), digests.get(name, {}))
        for name in sorted(found)
    )


def _digests(root: Root, repository: str, directory: str) -> dict[str, dict[str, str]]:
    """Return the digests in a package's Manifest, by the name of the file in DISTDIR."""
    repo = root.portdb.repositories[repository]
    manifest = repo.load_manifest(directory, os.fspath(root.prefix.distdir))
    return {
        name: {HASHES[key]: value for key, value in values.items() if key in HASHES}
        for name, values in manifest.getTypeDigests("DIST").items()
    }


def _spelled(uris: Iterable[str], mirrors: Mapping[str, Iterable[str]]) -> Iterable[str]:
    for uri in sorted(uris):
        name, slash, path = uri.removeprefix("mirror://").partition("/")
        if uri.startswith("mirror://") and slash and mirrors.get(name):
            yield from (f"{mirror.rstrip('/')}/{path}" for mirror in mirrors[name])
        else:
            yield uri
