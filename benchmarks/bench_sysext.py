#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compare images of this program with those of sysext-bakery, both in one run.

With the bakery, a user copies the prefix to a directory and calls the bakery's script, which
adds the release file and runs the format's tool. This file uses its options as of 2025:
mksquashfs with its defaults, mkfs.erofs with lz4hc level 12 and 64 KiB clusters, mkfs.ext4
on a file of 1 GiB and resize2fs -M, mkfs.btrfs --mixed --shrink.

    benchmarks/bench_sysext.py [--staging DIR] [--formats squashfs,erofs] [--repeat N]

Without --staging, the benchmark makes a prefix from this machine's own Python and C library.
Neither program verifies the prefix. Both write to the same file system, whose cache is warm.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [os.fspath(TOP), os.fspath(TOP / "tests/image")]

from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import process

FORMATS = ("squashfs", "erofs", "ext4", "btrfs")


def stand_in(base: Path) -> Prefix:
    """Make a prefix with Python's standard library, similar to dev-lang/python."""
    import shipping_prefix

    prefix = shipping_prefix.make(base, name="python")
    library = Path(sysconfig.get_path("stdlib"))
    target = prefix.final.eroot / "usr/lib" / library.name
    skipped = shutil.ignore_patterns("site-packages", "dist-packages", "test", "tests")
    shutil.copytree(library, target, symlinks=True, ignore=skipped)
    headers = Path(sysconfig.get_path("include"))
    if headers.is_dir():
        shutil.copytree(headers, prefix.final.eroot / "usr/include" / library.name)
    return prefix


def bakery(prefix: Prefix, output: Path, form: str) -> Path:
    """Make an image with the bakery's method; see the module's documentation."""
    tree = output.parent / f"copy-{form}"
    subprocess.run(["cp", "-a", prefix.final.path, tree], check=True)
    release = tree / "usr/lib/extension-release.d"
    release.mkdir(parents=True, exist_ok=True)
    text = f"ID=_any\nARCHITECTURE={prefix.board.systemd_arch}\n"
    (release / f"extension-release.{output.stem}").write_text(text)
    for argv in _bakery_commands(tree, output, form):
        process.run(argv, env=process.environment(), capture=True)
    process.run(["sha256sum", output.name], cwd=output.parent, capture=True)
    shutil.rmtree(tree)
    return output


def _bakery_commands(tree: Path, output: Path, form: str) -> list[list[str]]:
    source, image = os.fspath(tree), os.fspath(output)
    return {
        "squashfs": [["mksquashfs", source, image, "-all-root", "-noappend"]],
        "erofs": [
            [
                *("mkfs.erofs", "-zlz4hc,12", "-C65536", "-Eztailpacking"),
                *("-U00000000-0000-0000-0000-000000000000", "--all-root", image, source),
            ]
        ],
        "ext4": [
            ["truncate", "-s", "1G", image],
            ["mkfs.ext4", "-q", "-E", "root_owner=0:0", "-d", source, image],
            ["resize2fs", "-M", image],
        ],
        "btrfs": [
            ["truncate", "-s", "0", image],
            [
                *("mkfs.btrfs", "--mixed", "-m", "single", "-d", "single", "--shrink"),
                *("--rootdir", source, image),
            ],
        ],
    }[form]


def processor_time() -> float:
    """Return the processor time of this process and its ended children."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measure(make: Callable[[], Path], repeat: int) -> dict[str, float]:
    """Return the median time and processor time, in seconds, and the size of the image."""
    times, used, size = [], [], 0
    for _ in range(repeat):
        started, started_used = time.perf_counter(), processor_time()
        image = make()
        times.append(time.perf_counter() - started)
        used.append(processor_time() - started_used)
        size = image.stat().st_size
        image.unlink()
    return {
        "seconds": round(statistics.median(times), 2),
        "cpu_seconds": round(statistics.median(used), 2),
        "bytes": size,
    }


def run(prefix: Prefix, work: Path, formats: list[str], repeat: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    everything = ("portage", "placeholder", "cache", "devel", "docs")
    ways: dict[str, Callable[[str], Path]] = {
        "bakery": lambda form: bakery(prefix, work / "python.raw", form),
        "sysext, same files": lambda form: sysext(
            prefix, work / "python.raw", format=form, verify=False, keep=everything
        ),
        "sysext": lambda form: sysext(prefix, work / "python.raw", format=form, verify=False),
    }
    for form in formats:
        for way, make in ways.items():
            figures = measure(lambda make=make, form=form: make(form), repeat)  # type: ignore[misc]
            rows.append({"format": form, "way": way, **figures})
            size = figures["bytes"] / 1e6
            spent = f"{figures['seconds']:7.2f} s {figures['cpu_seconds']:7.2f} s cpu"
            print(f"{form:9} {way:20} {spent} {size:8.2f} MB", flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--staging", type=Path, help="of a prefix; default: a stand-in")
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-sysext-") as name:
        work = Path(name)
        prefix = record.read(args.staging) if args.staging else stand_in(work / "prefix")
        files = sum(path.is_file() for path in prefix.final.path.rglob("*"))
        print(f"{prefix.id}: {files} files, {os.cpu_count()} cores, median of {args.repeat}")
        out = work / "out"
        out.mkdir()
        rows = run(prefix, out, args.formats.split(","), args.repeat)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
