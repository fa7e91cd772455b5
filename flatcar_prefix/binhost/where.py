# SPDX-License-Identifier: BSD-3-Clause
"""The places of binary packages that a user names: URLs, directories, and pools."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Binhost, Prefix
from flatcar_prefix.system.files import GENERATED

SCHEMES = ("file", "http", "https", "ftp", "ssh", "sftp")
"""The schemes that Portage fetches binary packages by, see ``sync-uri`` in portage(5)."""

INDEXES = ("Packages", "Packages.gz")

KEY_FILE = "pool-key.asc"
"""The file beside the index with the public key of a pool."""


def find(
    words: Sequence[str], board: Board, *, besides: Sequence[Binhost] = ()
) -> tuple[Binhost, ...]:
    """Return ``besides`` and the places that ``words`` name.

    Raise :class:`UsageError` for a place that Portage cannot use.
    """
    found = list(besides)
    for word in words:
        one = _find(word, board)
        if one.uri not in {other.uri for other in found}:
            found.append(one)
    return tuple(_named_apart(found))


def _find(word: str, board: Board) -> Binhost:
    if "://" in word:
        return Binhost("", check_uri(word))
    if "/" in word or word in (".", ".."):
        return _directory(Path(os.path.abspath(word)))
    return of_pool(load_pool(word, board))


def check_uri(uri: str) -> str:
    """Return a URI without its last slashes; raise :class:`UsageError` if Portage cannot use it."""
    parts = urlsplit(uri)
    if parts.scheme not in SCHEMES:
        raise UsageError(
            f"the scheme of {uri!r} is not supported",
            hint=f"Use one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}.",
        )
    if not uri.isascii() or not uri.isprintable() or set(uri) & set(" \"'$`\\#;"):
        raise UsageError(
            f"the URL {uri!r} contains a character that is not allowed",
            hint="Encode it with %, see RFC 3986.",
        )
    if parts.scheme != "file" and not parts.hostname:
        raise UsageError(f"the URL {uri!r} has no host", hint="Use a URL such as http://host/path.")
    return uri.rstrip("/")


def _directory(directory: Path) -> Binhost:
    if not any((directory / name).is_file() for name in INDEXES):
        raise UsageError(
            f"{directory} has no index of binary packages",
            hint="Choose the pkgs directory of a pool, which contains the file Packages.",
        )
    uri = f"file://{quote(os.fspath(directory))}"
    if uri != f"file://{directory}":  # Portage does not decode the path of a file URL.
        raise UsageError(
            f"the directory {os.fspath(directory)!r} cannot be written to binrepos.conf",
            hint="Choose a directory with letters, digits and - . _ ~ only.",
        )
    return Binhost("", uri)


def load_pool(name: str, board: Board) -> Prefix:
    """Return the pool called ``name``; raise :class:`PrefixError` if there is none."""
    prefix = registry.load(name, board=None if name.endswith(f"-{board.name}") else board.name)
    if not prefix.pool:
        raise PrefixError(
            f"the prefix {prefix.id} is not a pool",
            hint=_instead(prefix.staging.pkgdir),
        )
    if prefix.board != board:
        raise PrefixError(
            f"the pool {prefix.id} is for {prefix.board.name}, not for {board.name}",
            hint=f"Choose a pool for {board.name}.",
        )
    return prefix


def _instead(pkgdir: Path) -> str:
    """Return the hint for a prefix that is not a pool."""
    create = "Choose a pool; this command creates one: setup_prefix --pool <name>"
    if not any((pkgdir / name).is_file() for name in INDEXES):
        return create
    return f"{create}; or choose the directory of its packages: {pkgdir}"


def of_pool(pool: Prefix) -> Binhost:
    """Return the packages of a pool of this machine."""
    return Binhost(pool.id, f"file://{pool.staging.pkgdir}", pool=pool.id)


def _named_apart(binhosts: Iterable[Binhost]) -> Iterator[Binhost]:
    taken: set[str] = set()
    for one in binhosts:
        parts = urlsplit(one.uri)
        text = one.name or f"{parts.hostname or ''}{parts.path}"
        base = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "binhost"
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        yield replace(one, name=name)


def binrepos_conf(prefix: Prefix) -> str:
    """Return the text of binrepos.conf, see portage(5).

    Each section has the keys that its defaults may set elsewhere. Portage keeps fetched
    packages in PKGDIR, so that final installs them from there.
    """
    if not prefix.binhosts:
        return f"{GENERATED}# There are no binhosts: each package is built from source.\n"
    count = len(prefix.binhosts)
    sections = (
        f"\n[{one.name}]\nsync-uri = {one.uri.replace('%', '%%')}\npriority = {count - number}\n"
        f"location = {prefix.staging.pkgdir}\n"
        f"verify-signature = {'true' if prefix.verify_binhosts else 'false'}\n"
        for number, one in enumerate(prefix.binhosts)
    )
    return GENERATED + "".join(sections)
