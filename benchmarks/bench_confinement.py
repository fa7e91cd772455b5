# SPDX-License-Identifier: BSD-3-Clause
"""Measure the cost of the confinement of builds.

    python benchmarks/bench_confinement.py --prefix NAME [--package ATOM] [--pairs N]
    python benchmarks/bench_confinement.py --prefix NAME --starts N

Builds a package in staging, confined and unconfined in turn, and compares the processor time
(user and system) and the elapsed time. Goal: a ratio of at most 1.03 for either, on an idle
machine. On a busy machine, compare the processor time. With ``--starts``, only starts the process
of a phase with Portage's namespaces, confined and unconfined, and prints the processor time of a
start.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import flatcar_prefix as fp
from flatcar_prefix.portage_api import session
from flatcar_prefix.sandbox.confinement import SWITCH, confined

GOAL = 1.03
SETTINGS = {"confined": "yes", "unconfined": "no"}


def build(prefix: fp.Prefix, package: str, setting: str) -> tuple[float, float]:
    """Return the elapsed and the processor time of one build, in seconds."""
    emerge = prefix.wrapper("emerge").path
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [emerge, "--stage", "--oneshot", package],
        env={**os.environ, SWITCH: setting},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{package} cannot be built:\n{done.stdout}\n{done.stderr}")
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(prefix: fp.Prefix, setting: str, directory: str, count: int) -> float:
    """Return the processor time of the start of a phase, in seconds."""
    import portage.process

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(count):
        code = portage.process.spawn(
            ["/bin/true"],
            env={
                "EBUILD_PHASE": "compile", "PORTAGE_BUILDDIR": directory, "PATH": os.defpath,
                "ROOT": str(prefix.staging.path), SWITCH: setting,
            },
            fd_pipes={0: 0, 1: 1, 2: 2},
            unshare_net=True, unshare_ipc=True, unshare_mount=True, unshare_pid=True,
        )  # fmt: skip
        if code:
            sys.exit("the process of a phase cannot be started")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count


def compare_starts(prefix: fp.Prefix, count: int) -> int:
    """Print the processor time of a start, confined and unconfined."""
    session.point_at(prefix.staging.environment())
    took: dict[str, list[float]] = {name: [] for name in SETTINGS}
    with confined(prefix), tempfile.TemporaryDirectory(dir=prefix.staging.tmpdir) as directory:
        for _ in range(5):
            for name, setting in SETTINGS.items():
                took[name].append(start(prefix, setting, directory, count))
    confinement, free = (1000 * statistics.median(took[name]) for name in SETTINGS)
    print(f"start     confined {confinement:.0f} ms, unconfined {free:.0f} ms")
    return 0 if confinement <= free * GOAL else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--package", default="app-arch/bzip2")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--starts", type=int, default=0)
    args = parser.parse_args()
    prefix = fp.load(args.prefix)
    if args.starts:
        return compare_starts(prefix, args.starts)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in SETTINGS}
    for number in range(args.pairs + 1):
        names = sorted(SETTINGS, reverse=bool(number % 2))
        for name in names:
            took = build(prefix, args.package, SETTINGS[name])
            if number:  # The first pair is for the caches.
                times[name].append(took)
    ratios = []
    for index, what in enumerate(("elapsed", "processor")):
        confined, free = (statistics.median(t[index] for t in times[n]) for n in SETTINGS)
        ratios.append(confined / free)
        print(f"{what:10}confined {confined:.2f} s, unconfined {free:.2f} s, {ratios[-1]:.3f}")
    return 0 if min(ratios) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
