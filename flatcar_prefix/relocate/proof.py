# SPDX-License-Identifier: BSD-3-Clause
"""Prove at build time that a package of a pool can be moved, or say why not.

:mod:`flatcar_prefix.relocate.tree` replaces each whole EPREFIX that it finds. This module looks
for everything else: pieces of the EPREFIX in code, other encodings, compressed data, checksums,
and links whose meaning depends on the depth of the EPREFIX.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.relocate import bytecode, containers, records
from flatcar_prefix.relocate.content import ARCHIVE, CHUNK
from flatcar_prefix.relocate.digests import Digests
from flatcar_prefix.relocate.eprefix import FIXED_PROPERTY, POOL_PROPERTY, is_pool_eprefix
from flatcar_prefix.relocate.pieces import Search, Seen
from flatcar_prefix.relocate.tree import source_of
from flatcar_prefix.system import entry

_LTO = b".gnu.lto_"
_HEAD = 512


@dataclass(frozen=True)
class Obstacle:
    """A reason against moving a package."""

    path: str
    """The path in the image."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def obstacles(image: Path, eprefix: str) -> Iterator[Obstacle]:
    """Yield the reasons against moving the package whose image (D) is a directory.

    ``eprefix`` must be that of a pool; the pieces of another one are not recognizable.
    """
    proof = _Proof(image, eprefix)
    for path in _paths(image):
        for reason in proof.look(path):
            yield Obstacle("/" + os.path.relpath(path, image), reason)
    for path, reason in proof.digests.found():
        yield Obstacle("/" + os.path.relpath(path, image), reason)


def _paths(image: Path) -> Iterator[Path]:
    for directory, directories, files in os.walk(image):
        directories.sort()
        for name in sorted((*directories, *files)):
            yield Path(directory, name)


class _Proof:
    def __init__(self, image: Path, eprefix: str) -> None:
        self.image = image
        self.eprefix = eprefix
        self.search = Search(eprefix)
        self.digests = Digests()

    def look(self, path: Path) -> Iterator[str]:
        inside = os.fsencode("/" + os.path.relpath(path, self.image))
        yield from _in_name("its name", self.search.read([inside]), os.path.basename(path))
        for name in os.listxattr(path, follow_symlinks=False):
            if self.search.read([os.getxattr(path, name, follow_symlinks=False)]):
                yield f"the extended attribute {name} has the EPREFIX"
        if path.is_symlink():
            yield from self._link(path)
        elif path.is_file():
            yield from self._file(path)

    def _link(self, path: Path) -> Iterator[str]:
        target = os.readlink(path)
        yield from _in_name("its target", self.search.read([os.fsencode(target)]), "")
        top = str(self.image) + self.eprefix
        if not target.startswith("/") and str(path).startswith(top + "/"):
            depth = len(path.relative_to(top).parts) - 1
            for part in target.split("/"):
                depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
                if depth < 0:
                    yield "its relative target leaves the EPREFIX"
                    return

    def _file(self, path: Path) -> Iterator[str]:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(0)
            seen = self.search.read(iter(lambda: file.read(CHUNK), b""))
        compiled = path.suffix == ".pyc" and bytecode.is_bytecode(head)
        # The relocation updates the digests in a RECORD.
        text = not seen.nul and not records.is_record(str(path))
        self.digests.add(path, changes=seen.whole, text=text)
        if seen.piece is not None:
            yield f"has a piece of the EPREFIX at {seen.piece:#x}"
        if seen.encoded:
            yield f"has the EPREFIX in {seen.encoded}"
        fixed = seen.nul or head.startswith(ARCHIVE)
        if seen.glued is not None and fixed and not compiled:
            yield f"has a name that begins with the EPREFIX at {seen.glued:#x}"
        if seen.whole and (what := containers.checked(head)):
            yield f"has the EPREFIX in {what}"
        if compiled and seen.whole:
            yield from self._compiled(path)
        yield from self._packed(path, head)

    def _compiled(self, path: Path) -> Iterator[str]:
        """Yield a reason if byte code cannot follow its source, whose size changes."""
        source = Path(source_of(str(path)))
        if source.is_file() and self.search.whole in source.read_bytes():
            try:
                bytecode.rewritten(path.read_bytes(), lambda text: text)
            except bytecode.Unknown as error:
                yield f"is byte code that cannot be rewritten: {error}"

    def _packed(self, path: Path, head: bytes) -> Iterator[str]:
        if name := containers.closed(head):
            yield f"is {name} data, which cannot be searched"
        if head.startswith((b"\x7fELF", ARCHIVE)) and _LTO in path.read_bytes():
            yield "has compressed code for link-time optimization"
        try:
            for what, content in containers.contents(path, head):
                if self.search.read(content):
                    yield f"has the EPREFIX in {what}"
                    return
        except containers.BROKEN as error:
            yield f"cannot be searched: {error or type(error).__name__}"


def _in_name(what: str, seen: Seen, name: str) -> Iterator[str]:
    if seen.piece is not None:
        yield f"{what} has a piece of the EPREFIX"
    if seen.encoded:
        yield f"{what} has the EPREFIX in {seen.encoded}"
    if name and seen.glued is not None:
        yield f"{what} begins with the EPREFIX"


def main(arguments: Sequence[str]) -> int:
    """Print the PROPERTIES of the package, then the reasons against moving its image, by line."""
    parser = argparse.ArgumentParser(prog="prove-relocation", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="D")
    parser.add_argument("--eprefix", required=True, help="EPREFIX")
    options = parser.parse_args(arguments)
    if not is_pool_eprefix(options.eprefix):  # Its pieces are not recognizable.
        print()
        return 0
    found = list(obstacles(options.image, options.eprefix))
    print(POOL_PROPERTY, *([FIXED_PROPERTY] if found else []))
    for obstacle in found:
        print(str(obstacle).encode("unicode_escape").decode("ascii"))
    return 0


if __name__ == "__main__":
    sys.exit(entry.run(lambda: main(sys.argv[1:]), program="prove-relocation", failure=3))
