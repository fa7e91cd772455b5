# SPDX-License-Identifier: BSD-3-Clause
"""Measure what ccache saves: builds of a package without it, with an empty cache, with a full one.

    python benchmarks/bench_ccache.py --prefix NAME [--package ATOM]

Builds the package three times in staging. The goal for the third build is half of the time of the
second one. ccache must be installed. The cache is a temporary directory.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import flatcar_prefix as fp

GOAL = 0.5


@dataclass(frozen=True)
class Took:
    """The elapsed and the processor time of a build, in seconds."""

    wall: float
    cpu: float


def build(prefix: fp.Prefix, package: str, features: str, cache: Path) -> Took:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        # A package of a pool is not a build.
        [prefix.wrapper("emerge").path, "--stage", "--oneshot", "--getbinpkg=n", package],
        env={**os.environ, "FEATURES": features, "CCACHE_DIR": os.fspath(cache)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{package} cannot be built:\n{done.stdout}\n{done.stderr}")
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def hits(cache: Path) -> str:
    said = subprocess.run(
        ["ccache", "-s", "-d", cache], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Hits: *(\d+) / *(\d+)", said)
    return f"{found[1]} hits of {found[2]} calls" if found else said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--package", default="dev-libs/openssl")
    args = parser.parse_args()
    prefix = fp.load(args.prefix)
    with tempfile.TemporaryDirectory(prefix="bench-ccache-", dir="/var/tmp") as directory:
        cache = Path(directory)
        cache.chmod(0o777)  # Builds run as another user.
        plain = build(prefix, args.package, "-ccache", cache)
        first = build(prefix, args.package, "ccache", cache)
        second = build(prefix, args.package, "ccache", cache)
        print(f"{args.package:24}{'elapsed':>10}{'processor':>12}")
        for name, took in (("without ccache", plain), ("first", first), ("second", second)):
            print(f"  {name:22}{took.wall:9.1f}s{took.cpu:11.1f}s")
        print(f"second / first {second.wall / first.wall:.2f}, goal {GOAL}; {hits(cache)}")
    return 0 if second.wall <= GOAL * first.wall else 1


if __name__ == "__main__":
    sys.exit(main())
