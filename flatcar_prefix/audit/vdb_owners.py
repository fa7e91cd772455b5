# SPDX-License-Identifier: BSD-3-Clause
"""An index of the installed files with their owners and their recorded digests.

The index has sorted 64-bit hashes instead of names. It needs 28 bytes per file, so a large
prefix takes a few megabytes.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

_NO_DIGEST = bytes(16)


class Installed(NamedTuple):
    """An entry of the VDB for a file or link."""

    path: str
    """The path on the target machine."""
    package: str
    kind: str
    """``obj`` or ``sym``, or another type of CONTENTS as in PMS and Portage."""
    digest: bytes
    """The MD5 of the file or of the link's target; empty if it is unknown."""


class Owner(NamedTuple):
    package: str
    digest: bytes
    """The MD5 of the file or of the link's target; empty if it is unknown."""


class Owners:
    """An index of owners by path. Fill it with :meth:`add`, then call :meth:`freeze`."""

    def __init__(self) -> None:
        self.packages: list[str] = []
        self._numbers: dict[str, int] = {}
        self._keys = array("q")
        self._package = array("I")
        self._digests = bytearray()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, path: str, package: str, digest: bytes = b"") -> None:
        """Add ``package`` as owner of ``path``, whose directories must not be links."""
        number = self._numbers.get(package)
        if number is None:
            number = self._numbers[package] = len(self.packages)
            self.packages.append(package)
        self._keys.append(hash(path))
        self._package.append(number)
        self._digests += digest or _NO_DIGEST

    def freeze(self) -> None:
        """Sort the index, so that :meth:`get` can search it."""
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        self._digests = bytearray().join(self._digests[16 * i : 16 * i + 16] for i in order)
        self._package = array("I", (self._package[i] for i in order))
        self._keys = array("q", (self._keys[i] for i in order))

    def get(self, path: str) -> Owner | None:
        """Return the owner of ``path``, or None; of several owners, the last one added."""
        key = hash(path)
        index = bisect_left(self._keys, key)
        if index == len(self._keys) or self._keys[index] != key:
            return None
        while index + 1 < len(self._keys) and self._keys[index + 1] == key:
            index += 1
        digest = bytes(self._digests[16 * index : 16 * index + 16])
        package = self.packages[self._package[index]]
        return Owner(package, b"" if digest == _NO_DIGEST else digest)


def installed_files(vartree: Any) -> Iterator[Installed]:
    """Yield the files and links of all packages of a ``portage.dbapi.vartree.vartree``.

    The packages come in the order of their installation (COUNTER). The entries are those
    of ``dblink.getcontents``.
    """
    from portage.dbapi.vartree import dblink
    from portage.versions import catsplit

    # The paths start with ROOT as Portage spells it.
    cut = len(vartree.settings["ROOT"].rstrip("/"))
    vardb = vartree.dbapi
    for cpv in sorted(vardb.cpv_all(), key=lambda cpv: (_counter(vardb, cpv), str(cpv))):
        category, pf = catsplit(str(cpv))
        link = dblink(category, pf, settings=vartree.settings, vartree=vartree, treetype="vartree")
        for path, entry in link.getcontents().items():
            if entry[0] != "dir":
                yield Installed(path[cut:], str(cpv), entry[0], _digest(entry))


def _counter(vardb: Any, cpv: Any) -> int:
    try:
        return int(vardb.aux_get(cpv, ["COUNTER"])[0] or 0)
    except (KeyError, ValueError):
        return 0


def _digest(entry: tuple[str, ...]) -> bytes:
    """Return the digest of an entry of ``dblink.getcontents``."""
    if entry[0] == "sym":
        return link_digest(entry[2])
    if entry[0] == "obj":
        try:
            digest = bytes.fromhex(entry[2])
        except ValueError:
            return b""
        return digest if len(digest) == 16 else b""
    return b""


def link_digest(target: str) -> bytes:
    """Return the MD5 of a link's target, which the index stores as the link's digest."""
    raw = target.encode("utf-8", "surrogateescape")
    return hashlib.md5(raw, usedforsecurity=False).digest()


def index(
    files: Iterable[Installed],
    *,
    canonical: Callable[[str], str | None],
    missing: Callable[[Installed], None],
) -> Owners:
    """Return the index of installed files.

    ``canonical`` returns a path with the links in its directories resolved, or None if the
    path does not exist. ``missing`` is called for each file that does not exist.
    """
    owners = Owners()
    for file in files:
        path = canonical(file.path)
        if path is None:
            missing(file)
        else:
            owners.add(path, file.package, file.digest)
    owners.freeze()
    return owners
