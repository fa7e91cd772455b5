# SPDX-License-Identifier: BSD-3-Clause
"""Measure the speed and the memory of the audit for growing numbers of files.

    python benchmarks/bench_verify.py [number of ELF files ...]

The trees contain this machine's own programs and libraries (those of Debian on x86-64), edited
to use the prefix's loader, and hard links of them for larger numbers. A separate process audits
each tree. As for a prefix, it compares the digest of each file and searches for three
directories of the build machine. The ELF reader is also compared with pyelftools.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from flatcar_prefix.audit.audit import audit
from flatcar_prefix.audit.elf import ElfError, Source, read_elf
from flatcar_prefix.audit.tree import Entry, Tree, walk
from flatcar_prefix.audit.vdb_owners import Owners
from flatcar_prefix.boards import board

EPREFIX = "/opt/b"
LOADER = "lib64/ld-x86-64.so.2"
BOARD = replace(board("amd64-usr"), loader=LOADER)
FORBIDDEN = ("/build/prefix-amd64-usr/bench", "/srv/final/bench", "/usr/x86_64-cros-linux-gnu")
PROGRAMS = ("/usr/bin", "/usr/sbin", "/usr/libexec")
LIBRARIES = ("/usr/lib/x86_64-linux-gnu",)
LARGEST = 4 << 20
"""Compilers and browsers are left out, because they would mainly measure MD5."""

# These have the length of the originals, so that they can overwrite them in the files.
HOST_LOADER = b"/lib64/ld-linux-x86-64.so.2\0"
OUR_LOADER = f"{EPREFIX}/{LOADER}\0".encode()
HOST_DIRECTORIES = (
    b"/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0"  # Debian's
)
OUR_DIRECTORIES = f"{EPREFIX}/lib64/\0{EPREFIX}/usr/lib64/\0{EPREFIX}/{'x' * 25}/\0".encode()


def elf_files(*places: str) -> list[Path]:
    """Return this machine's programs or libraries."""
    return [path for place in places for path in sorted(Path(place).rglob("*")) if is_elf(path)]


def is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        return False
    with path.open("rb") as file:
        head = file.read(18)
    return head[:4] == b"\x7fELF" and head[16] in (2, 3)


def make_tree(root: Path, number: int) -> None:
    """Fill a prefix with ``number`` ELF files of this machine, edited for the prefix."""
    top = root / EPREFIX[1:]
    loader = Path(os.path.realpath("/lib64/ld-linux-x86-64.so.2"))
    put(loader, top / LOADER)
    assert OUR_DIRECTORIES in (top / LOADER).read_bytes()
    base = [put(path, top / "usr/bin" / path.name) for path in elf_files(*PROGRAMS)]
    for path in elf_files(*LIBRARIES):
        name = soname(path) or path.name
        if path != loader and not (top / "usr/lib64" / name).exists():
            base.append(put(path, top / "usr/lib64" / name))
    for extra in base[number:]:
        extra.unlink()
    for index in range(max(0, number - len(base) - 1)):
        source = base[index % len(base)]
        target = top / f"usr/lib64/more/{index // 200}/{index}-{source.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)


def put(path: Path, target: Path) -> Path:
    data = path.read_bytes()
    data = data.replace(HOST_LOADER, OUR_LOADER).replace(HOST_DIRECTORIES, OUR_DIRECTORIES)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(path.stat().st_mode & 0o755)
    return target


def soname(path: Path) -> str | None:
    data = path.read_bytes()
    try:
        return read_elf(Source(-1, len(data), data)).soname
    except ElfError:
        return None


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
    tree = Tree(root=root, eprefix=EPREFIX, board=BOARD, forbidden_paths=FORBIDDEN)
    tree = replace(tree, owners=owners_of(tree))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, used = time.perf_counter(), cpu_seconds()
    report = audit(tree, jobs=jobs)
    seconds, used = time.perf_counter() - started, cpu_seconds() - used
    connection.send(
        {
            "elf": report.statistics.elf,
            "MB": round(report.statistics.bytes / 1e6),
            "seconds": round(seconds, 2),
            "ELF/s": round(report.statistics.elf / seconds),
            "ELF per CPU second": round(report.statistics.elf / used),
            "MB/s": round(report.statistics.bytes / 1e6 / seconds),
            "findings": len(report.findings),
            "RSS before, MB": round(before / 1024, 1),
            "RSS, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "RSS of a worker, MB": round(
                resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1
            ),
        }
    )


def cpu_seconds() -> float:
    """Return the processor time of this process and its ended children, in seconds."""
    return sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
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
    files = elf_files(*PROGRAMS, *LIBRARIES)
    yield {
        "files": len(files),
        "reader, files/s": rate(read_ours, files),
        "pyelftools, files/s": rate(read_by_pyelftools, files),
    }
    for number in numbers:
        with tempfile.TemporaryDirectory() as place:
            make_tree(Path(place), number)
            for jobs in (1, 2):
                yield {"jobs": jobs, **in_a_process(Path(place), jobs)}


if __name__ == "__main__":
    for figures in results([int(word) for word in sys.argv[1:]] or [2000, 8000, 32000]):
        print(json.dumps(figures), flush=True)
