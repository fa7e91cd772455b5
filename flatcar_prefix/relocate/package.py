# SPDX-License-Identifier: BSD-3-Clause
"""Relocate an unpacked binary package before Portage installs it.

The bashrc of a prefix runs this as a module in the phase ``instprep``, the first one after
Portage has unpacked the package. It replaces ``bin/chpathtool.py`` of Portage, which writes over
other bytes if the new path is longer, and puts the padding before the path.
"""

from __future__ import annotations

import argparse
import bz2
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from flatcar_prefix.relocate.content import CHUNK
from flatcar_prefix.relocate.move import Move
from flatcar_prefix.relocate.tree import Result, relocate_file, relocate_tree
from flatcar_prefix.system import entry
from flatcar_prefix.system.files import temporary_beside

MOVED_FROM = "FLATCAR_PREFIX_MOVED_FROM"
"""The file in the metadata, and later in the VDB, with the EPREFIX of the build."""

_ENVIRONMENT = "environment.bz2"
_UNCHANGED = (MOVED_FROM, "BINPKGMD5")


def relocate_package(
    image: Path, information: Path, environment: Path | None, old: str, new: str
) -> Result:
    """Relocate the unpacked package and return the numbers of its image.

    ``image`` is D, ``information`` the directory of its metadata, and ``environment`` the file
    with the saved variables and functions of its phases. Portage writes CONTENTS later, from the
    relocated image. The errors are those of :func:`~.tree.relocate_tree`.
    """
    result = relocate_tree(image, old, new)
    for path in sorted(information.iterdir()):
        if path.name == _ENVIRONMENT:
            _compressed(path, Move.of(old, new))
        elif path.is_file() and path.suffix != ".ebuild" and path.name not in _UNCHANGED:
            relocate_file(path, old, new)
    if environment is not None:
        relocate_file(environment, old, new)
    return result


def _compressed(path: Path, move: Move) -> None:
    temporary = temporary_beside(path)
    try:
        with bz2.open(path) as source, bz2.open(temporary, "wb") as target:
            chunks: Iterator[bytes] = iter(lambda: source.read(CHUNK), b"")
            target.writelines(move.stream(chunks, padded=False))
        status = path.stat()
        os.chown(temporary, status.st_uid, status.st_gid)
        temporary.chmod(status.st_mode & 0o7777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def main(arguments: Sequence[str]) -> int:
    """Relocate the package that the arguments name; return the exit code."""
    options = _parser().parse_args(arguments)
    result = relocate_package(
        options.image, options.information, options.environment, options.old, options.new
    )
    print(f"{result.files} files, {result.links} links, {result.size >> 20} MiB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="relocate", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="D")
    parser.add_argument("--information", type=Path, required=True, help="build-info")
    parser.add_argument("--environment", type=Path, help="T/environment")
    parser.add_argument("old", help="the EPREFIX of the build")
    parser.add_argument("new", help="the EPREFIX of the prefix")
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(lambda: main(sys.argv[1:]), program="relocate"))
