# SPDX-License-Identifier: BSD-3-Clause
"""Which package owns which file, and what the file looked like when it was installed.

An index of 28 bytes a file, so that the largest prefix costs a few megabytes: names are
kept as 64-bit hashes, sorted.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

_NO_DIGEST = bytes(16)


class Installed(NamedTuple):
    """A file or link as the VDB has it."""

    path: str
    """As on the target machine."""
    package: str
    kind: str
    """``obj`` or ``sym``; others as PMS and Portage name them."""
    digest: bytes
    """MD5 of the file, or of a link's target; empty where nothing is known."""


class Owner(NamedTuple):
    package: str
    digest: bytes
    """MD5 of the file, or of a link's target; empty where nothing is known."""


class Owners:
    """Looks up owners by path. Fill with :meth:`add`, then :meth:`freeze`."""

    def __init__(self) -> None:
        self.packages: list[str] = []
        self._numbers: dict[str, int] = {}
        self._keys = array("q")
        self._package = array("I")
        self._digests = bytearray()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, path: str, package: str, digest: bytes = b"") -> None:
        """Say that ``package`` owns ``path``, which has no link among its directories."""
        number = self._numbers.get(package)
        if number is None:
            number = self._numbers[package] = len(self.packages)
            self.packages.append(package)
        self._keys.append(hash(path))
        self._package.append(number)
        self._digests += digest or _NO_DIGEST

    def freeze(self) -> None:
        """Make what was added ready to be looked up."""
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        self._digests = bytearray().join(self._digests[16 * i : 16 * i + 16] for i in order)
        self._package = array("I", (self._package[i] for i in order))
        self._keys = array("q", (self._keys[i] for i in order))

    def get(self, path: str) -> Owner | None:
        """Return the owner of ``path``, the one installed last where there are several."""
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
    """Yield what the packages of a ``portage.dbapi.vartree.vartree`` say they installed.

    One package at a time, in the order in which they were installed.
    """
    from portage.dbapi.vartree import dblink
    from portage.versions import catsplit

    # Portage's own spelling of ROOT, with which the paths begin.
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
    """Return the digest in what ``dblink.getcontents`` says of one path."""
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
    """Return what stands for the target of a link."""
    raw = target.encode("utf-8", "surrogateescape")
    return hashlib.md5(raw, usedforsecurity=False).digest()


def index(
    files: Iterable[Installed],
    *,
    canonical: Callable[[str], str | None],
    missing: Callable[[Installed], None],
) -> Owners:
    """Return the index of installed files.

    ``canonical`` says where a path lies without links among its directories, None where
    it does not exist; ``missing`` is told of those.
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
