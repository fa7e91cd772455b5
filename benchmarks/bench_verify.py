# SPDX-License-Identifier: BSD-3-Clause
"""How fast the audit is, and what memory it takes, as the number of files grows.

Trees of this machine's own programs and libraries, hard links of them where that can be:
``python benchmarks/bench_verify.py [number of ELF files ...]``. Each tree is audited in a
process of its own, with the digest of each file compared and three directories of the
build machine searched for, as for a prefix. The reader alone is held against pyelftools.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from flatcar_prefix.boards import board
from flatcar_prefix.verify import Tree, audit
from flatcar_prefix.verify.elf import ElfError, Source, read_elf
from flatcar_prefix.verify.owners import Owners
from flatcar_prefix.verify.tree import Entry, walk

EPREFIX = "/opt/bench"
FORBIDDEN = ("/build/prefix-amd64-usr/bench", "/srv/final/bench", "/usr/x86_64-cros-linux-gnu")
PLACES = ("/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/gcc", "/usr/libexec")


def elf_files() -> list[Path]:
    """Return this machine's programs and libraries, small and large in turn."""
    return [path for place in PLACES for path in sorted(Path(place).rglob("*")) if is_elf(path)]


def is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(18)
    return head[:4] == b"\x7fELF" and head[16] in (2, 3)


def make_tree(root: Path, files: list[Path], number: int) -> None:
    """Fill a prefix with ``number`` ELF files, 200 a directory."""
    loader = root / EPREFIX[1:] / "lib64/ld-linux-x86-64.so.2"
    loader.parent.mkdir(parents=True)
    shutil.copy("/lib64/ld-linux-x86-64.so.2", loader)
    copies = (path for _ in range(number) for path in files)
    for index, path in enumerate(islice(copies, number)):
        target = root / EPREFIX[1:] / f"usr/lib64/{index // 200}/{path.name}.{index}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copy(path, target)


def owners_of(tree: Tree) -> Owners:
    digests: dict[int, bytes] = {}
    owners = Owners()
    for entry in walk(tree):
        if isinstance(entry, Entry):
            inode = os.lstat(entry.local).st_ino
            if inode not in digests:
                data = Path(entry.local).read_bytes()
                digests[inode] = hashlib.md5(data, usedforsecurity=False).digest()
            owners.add(entry.path, "cat/pkg-1", digests[inode])
    owners.freeze()
    return owners


def measure(connection: Connection, root: Path, jobs: int) -> None:
    """Audit a tree; send figures."""
    tree = Tree(root=root, eprefix=EPREFIX, board=board("amd64-usr"), forbidden_paths=FORBIDDEN)
    tree = replace(tree, owners=owners_of(tree))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    report = audit(tree, jobs=jobs)
    seconds = time.perf_counter() - started
    connection.send(
        {
            "elf": report.statistics.elf,
            "MB": round(report.statistics.bytes / 1e6),
            "seconds": round(seconds, 2),
            "ELF/s": round(report.statistics.elf / seconds),
            "findings": len(report.findings),
            "RSS before, MB": round(before / 1024, 1),
            "RSS, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "RSS of a worker, MB": round(
                resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1
            ),
        }
    )


def in_a_process(root: Path, jobs: int) -> dict[str, float]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=measure, args=(theirs, root, jobs)
    )
    process.start()
    theirs.close()
    figures: dict[str, float] = ours.recv()
    process.join()
    return figures


def read_ours(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        read_elf(Source(fd, os.fstat(fd).st_size, os.pread(fd, 1 << 15, 0)))
    except ElfError:
        pass
    finally:
        os.close(fd)


def read_by_pyelftools(path: Path) -> None:
    with path.open("rb") as file:
        elf = ELFFile(file)
        for segment in elf.iter_segments():
            if isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    getattr(tag, "needed", None)
        for name in (".gnu.version_r", ".gnu.version_d"):
            section = elf.get_section_by_name(name)
            for _, names in section.iter_versions() if section else ():
                for _ in names:
                    pass


def rate(read: Callable[[Path], None], files: list[Path]) -> int:
    for path in files[:20]:
        read(path)
    started = time.perf_counter()
    for path in files:
        read(path)
    return round(len(files) / (time.perf_counter() - started))


def results(numbers: list[int]) -> Iterator[dict[str, float]]:
    files = elf_files()
    yield {
        "files": len(files),
        "reader, files/s": rate(read_ours, files),
        "pyelftools, files/s": rate(read_by_pyelftools, files),
    }
    for number in numbers:
        with tempfile.TemporaryDirectory(dir="/usr/local" if os.geteuid() == 0 else None) as place:
            make_tree(Path(place), files, number)
            for jobs in (1, 2):
                yield {"jobs": jobs, **in_a_process(Path(place), jobs)}


if __name__ == "__main__":
    for figures in results([int(word) for word in sys.argv[1:]] or [1000, 4000, 16000]):
        print(json.dumps(figures), flush=True)
