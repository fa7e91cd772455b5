# SPDX-License-Identifier: BSD-3-Clause
"""Fetch or pack the sources of software into DISTDIR, with the checksum in the file name."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.fetch import __main__ as fetching
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.recipe.model import Recipe, Software, is_url, lock_file
from flatcar_prefix.system.progress import Progress

_ARCHIVE = re.compile(r"\.(tar(\.(gz|bz2|xz|zst|lz))?|tgz|tbz2|txz|zip)$")

NOT_PACKED = (".git", ".hg", ".svn", "__pycache__", ".venv", "node_modules")
"""Directories of a source directory that are not packed."""


@dataclass(frozen=True)
class Distfile:
    """A file in DISTDIR."""

    path: Path
    sha256: str
    uri: str = ""
    """The origin of the file; empty for a local file."""

    @property
    def is_archive(self) -> bool:
        return bool(_ARCHIVE.search(self.path.name))

    @property
    def src_uri(self) -> str:
        """Return the words for SRC_URI."""
        return f"{self.uri} -> {self.path.name}" if self.uri else self.path.name


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def manifest_line(path: Path) -> str:
    """Return the DIST line of a file for a Manifest, see GLEP 74."""
    blake, sha512, size = hashlib.blake2b(), hashlib.sha512(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            blake.update(block)
            sha512.update(block)
            size += len(block)
    return f"DIST {path.name} {size} BLAKE2B {blake.hexdigest()} SHA512 {sha512.hexdigest()}\n"


def bring(software: Software, board: str, distdir: Path, say: Progress) -> Distfile:
    """Bring the source of ``software`` to ``distdir`` and return it.

    A directory becomes a tarball. Raise :class:`PrefixError` if the file cannot be fetched
    or has another SHA-256 than the recipe says.
    """
    place, wanted = software.for_board("source", board), software.for_board("sha256", board)
    distdir.mkdir(parents=True, exist_ok=True)
    if is_url(place):
        return _download(software, place, wanted, distdir, say)
    path = software.recipe.path(place)
    if path.is_dir():
        return _packed(software, path, distdir)
    _check(software, path, wanted)
    return Distfile(_kept(software, path, path.name, distdir), sha256(path))


def _download(software: Software, uri: str, wanted: str, distdir: Path, say: Progress) -> Distfile:
    upstream = os.path.basename(unquote(urlsplit(uri).path))
    target = distdir / _name(software, upstream, wanted)
    if not target.exists():
        say(f"fetching {uri}")
        with tempfile.TemporaryDirectory(dir=distdir, prefix=".fetching-") as directory:
            file = Path(directory) / upstream
            try:
                fetching.fetch(
                    fetching.Request(uri, file, cache=distdir.parent / "apt"),
                    os_release=fetching.read_os_release(),
                )
            except PrefixError as error:
                raise software.error("source", str(error), hint=error.hint) from error
            _check(software, file, wanted)
            file.chmod(0o644)
            file.replace(target)
    _check(software, target, wanted)
    return Distfile(target, wanted, uri)


def _check(software: Software, path: Path, wanted: str) -> None:
    found = sha256(path)
    if wanted and found != wanted:
        raise software.error(
            "sha256",
            f"{path} has the SHA-256 {found}, not the one of the recipe",
            hint="Verify the file, then correct the file or the sha256 in the recipe.",
        )


def _name(software: Software, upstream: str, digest: str) -> str:
    suffix = match[0] if (match := _ARCHIVE.search(upstream)) else ""
    return f"{software.name}-{software.version}-{digest[:12]}{suffix}"


def _kept(software: Software, path: Path, upstream: str, distdir: Path) -> Path:
    """Copy a file to ``distdir`` atomically."""
    target = distdir / _name(software, upstream, sha256(path))
    if not target.exists():
        partial = target.with_name(f".{target.name}.new")
        shutil.copyfile(path, partial)
        partial.chmod(0o644)
        partial.replace(target)
    return target


def _packed(software: Software, directory: Path, distdir: Path) -> Distfile:
    """Return a tarball of a directory, the same for the same content."""
    with tempfile.TemporaryDirectory(dir=distdir, prefix=".packing-") as place:
        file = Path(place) / "source.tar.gz"
        top = f"{software.name}-{software.version}"
        with (
            file.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
        ):
            for path in _files(directory, without=made_from(software.recipe)):
                archive.add(
                    path, f"{top}/{path.relative_to(directory)}", recursive=False, filter=_plain
                )
        return Distfile(_kept(software, file, file.name, distdir), sha256(file))


def made_from(recipe: Recipe) -> Callable[[Path], bool]:
    """Return a function that recognizes the recipe, and the files that a build writes beside it.

    A source directory can contain these files. They would change the tarball in each build.
    """
    own = {recipe.file.absolute().resolve(), lock_file(recipe.file.absolute()).resolve()}
    suffix = FORMATS[recipe.image_options().format].suffix if recipe.image is not None else ""
    images = [recipe.image_file(board, suffix) for board in recipe.boards] if suffix else []
    stems = [(image.parent, image.name.removesuffix(suffix)) for image in images]

    def is_made(path: Path) -> bool:
        if path.resolve() in own:
            return True
        return any(
            path.parent.resolve() == place
            and (path.name == "SHA256SUMS" or re.match(rf"{re.escape(stem)}[.-]", path.name))
            for place, stem in stems
        )

    return is_made


def _files(directory: Path, *, without: Callable[[Path], bool]) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name in NOT_PACKED or without(path):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, without=without)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove the metadata that differs between two copies of a directory."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry
