# SPDX-License-Identifier: BSD-3-Clause
"""Measure the cost of the emerge wrapper.

    python benchmarks/bench_emerge.py [--prefix NAME] [--pairs N] [--builds N]

1. Compare an up-to-date ``emerge-prefix-X --update sys-apps/grep`` with the two equivalent
   ``emerge`` calls with the variables of ``show --env``, in turn in one run. Goal: a ratio of
   at most 1.0.
2. Compare a build of ``sys-apps/grep`` through the wrapper with ``./configure && make && make
   install`` by hand and the same compiler. Goal: a ratio of at most 1.5.

Without ``--prefix``, the benchmark sets a prefix up (``--bootstrap=import``) and removes it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import flatcar_prefix as fp

PACKAGE = "sys-apps/grep"
CONFIGURE = (
    "--disable-gcc-warnings --disable-nls --enable-perl-regexp --disable-dependency-tracking"
    " --disable-silent-rules"
).split()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run(*argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    done = subprocess.run(argv, env={**os.environ, **(env or {})}, cwd=cwd, check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    if done.returncode:
        sys.exit(f"{argv} failed:\n{done.stderr}")


def bare_emerge(prefix: fp.Prefix, *args: str) -> None:
    """Run emerge in both roots, as a user would by hand."""
    for kind in ("staging", "final"):
        emerge = Path(sys.executable).with_name("emerge")
        run(sys.executable, emerge, *args, env=prefix.root(kind).environment())


def repeats(prefix: fp.Prefix, pairs: int) -> tuple[list[float], list[float]]:
    """Return the times of the wrapper and of two bare calls, pair by pair."""
    wrapper = prefix.wrapper("emerge").path
    ours, bare = [], []
    for number in range(pairs + 1):
        both = [
            (ours, lambda: run(wrapper, "--update", PACKAGE)),
            (bare, lambda: bare_emerge(prefix, "--update", PACKAGE)),
        ]
        for times, work in both if number % 2 else reversed(both):
            took = seconds(work)
            if number:  # the first pair is for the caches
                times.append(took)
    return ours, bare


def by_hand(prefix: fp.Prefix, tarball: Path, jobs: int) -> float:
    """Return the duration of the same build without Portage."""
    settings = prefix.staging.settings
    names = (
        "CC",
        "CXX",
        "CPP",
        "AR",
        "RANLIB",
        "STRIP",
        "PKG_CONFIG",
        "CFLAGS",
        "CXXFLAGS",
        "LDFLAGS",
    )
    env = {name: settings[name] for name in names if settings.get(name)}
    env["PATH"] = f"{prefix.tools_dir}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="bench-emerge-", dir="/var/tmp") as directory:

        def work() -> None:
            run("tar", "-xf", tarball, "--strip-components=1", cwd=Path(directory))
            target = [f"--host={settings['CHOST']}", f"--build={settings['CBUILD']}"]
            usr = f"--prefix={prefix.eprefix}/usr"
            run("./configure", usr, *target, *CONFIGURE, env=env, cwd=Path(directory))
            run("make", f"-j{jobs}", env=env, cwd=Path(directory))
            run("make", "install", f"DESTDIR={directory}/image", env=env, cwd=Path(directory))

        return seconds(work)


def builds(prefix: fp.Prefix, count: int) -> tuple[list[float], list[float]]:
    wrapper = prefix.wrapper("emerge").path
    tarball = next(prefix.distdir.glob("grep-*.tar.*"))
    jobs = int(prefix.staging.settings["MAKEOPTS"].removeprefix("-j"))
    through, hand = [], []
    for _ in range(count):
        through.append(seconds(lambda: run(wrapper, "--stage", "--oneshot", "--nodeps", PACKAGE)))
        hand.append(by_hand(prefix, tarball, jobs))
    return through, hand


def table(
    title: str, names: tuple[str, str], times: tuple[list[float], list[float]], goal: float
) -> bool:
    """Print a table; return whether the goal was reached."""
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    print(f"\n{title}")
    print(f"{'':44}{'median s':>10}{'best s':>10}")
    for name, taken in zip(names, times, strict=True):
        print(f"{name:44}{statistics.median(taken):10.2f}{min(taken):10.2f}")
    print(f"{'ratio, median of pairs (goal: at most ' + str(goal) + ')':44}{ratio:10.2f}")
    return ratio <= goal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--builds", type=int, default=2)
    args = parser.parse_args()
    base = None
    if args.prefix:
        prefix = fp.load(args.prefix)
    else:
        base = Path(tempfile.mkdtemp(prefix="bench-emerge-", dir="/var/tmp"))
        for name in ("BUILD", "CACHE", "STATE", "WRAPPER"):
            os.environ.setdefault(f"FLATCAR_PREFIX_{name}_DIR", str(base / name.lower()))
        prefix = fp.setup(
            "bench", "/usr/local/bench", bootstrap="import", final_dir=base / "final/bench"
        )
    try:
        run(prefix.wrapper("emerge").path, "--noreplace", PACKAGE)
        print(f"load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores")
        reached = [
            table(f"an up-to-date --update {PACKAGE}, {args.pairs} pairs",
                  ("emerge-prefix-X", "two bare emerge calls"), repeats(prefix, args.pairs), 1.0),
            table(f"building {PACKAGE}, {args.builds} times",
                  ("emerge-prefix-X --stage", "./configure && make && make install"),
                  builds(prefix, args.builds), 1.5),
        ]  # fmt: skip
    finally:
        if base is not None:
            fp.uninstall("bench")
            shutil.rmtree(base)
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
