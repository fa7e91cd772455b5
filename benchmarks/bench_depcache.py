#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure how long Portage's metadata cache of a tree takes to generate, and what it saves.

    benchmarks/bench_depcache.py CHECKOUT [ATOM]

CHECKOUT is a scripts checkout in either layout; it does not change. Portage resolves ATOM
(default: dev-lang/python) with its dependencies, with a cold and with a warm cache.
``flatcar-prefix regen``, with one and with all processors, and Portage's ``egencache``, for one
repository after the other, generate the cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


class Bench:
    """A prefix of the tree, without a C library, below a temporary directory."""

    def __init__(self, base: Path, tree: Path) -> None:
        self.base, self.tree = base, tree
        self.env = {
            **os.environ,
            "PYTHONPATH": os.fspath(CHECKOUT),
            **{
                f"FLATCAR_PREFIX_{name}_DIR": os.fspath(base / name.lower())
                for name in ("BUILD", "FINAL", "CACHE", "STATE", "WRAPPER")
            },
        }

    def run(self, *argv: str, env: dict[str, str] | None = None) -> float:
        """Run a command that must succeed; return its duration in seconds."""
        started = time.monotonic()
        done = subprocess.run(
            argv, env={**self.env, **(env or {})}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            # No method can read some ebuilds, such as one for a newer bash.
            print(f"   exit code {done.returncode}: {last_line(done)}", file=sys.stderr)
        return time.monotonic() - started

    def program(self, *words: str) -> float:
        return self.run(sys.executable, "-m", "flatcar_prefix", *words)

    def set_up(self) -> float:
        return self.program(
            "setup", "--bootstrap=none", f"--scripts-dir={self.tree}", "bench", "/usr/local/bench"
        )

    def forget(self) -> None:
        """Make the cache cold."""
        depcache = self.base / "cache/depcache"
        if depcache.exists():
            depcache.rename(self.base / f"old-{time.monotonic_ns()}")
        depcache.mkdir(parents=True)

    def resolve(self, atom: str) -> float:
        wrapper = os.fspath(self.base / "wrapper/emerge-prefix-bench")
        return self.run(wrapper, "--stage", "--pretend", "--emptytree", "--quiet", atom)

    def repositories(self) -> dict[str, str]:
        code = (
            "import flatcar_prefix as fp\n"
            "for r in fp.load('bench').repositories: print(r.name, r.location)"
        )
        said = subprocess.run(
            [sys.executable, "-c", code], env=self.env, capture_output=True, text=True, check=True
        )
        return dict(line.split(maxsplit=1) for line in said.stdout.splitlines())

    def egencache(self, jobs: int) -> float:
        """Generate the caches of all repositories with egencache, one after the other."""
        cache = self.base / f"egencache-{jobs}"
        cache.mkdir(exist_ok=True)
        repositories = self.repositories()
        conf = "[DEFAULT]\nmain-repo = " + next(iter(repositories)) + "\n"
        conf += "".join(f"[{n}]\nlocation = {p}\n" for n, p in repositories.items())
        return sum(
            self.run(
                sys.executable, os.fspath(Path(sys.executable).parent / "egencache"), "--update",
                f"--repo={name}", f"--jobs={jobs}", f"--repositories-configuration={conf}",
                f"--cache-dir={cache}", "--external-cache-only", "--tolerant",
                f"--config-root={self.base}/build/prefix-amd64-usr/bench/host",
                env={
                    "PORTAGE_OVERRIDE_EPREFIX": f"{self.base}/build/prefix-amd64-usr/bench/host",
                    "PORTAGE_DEPCACHEDIR": os.fspath(cache),
                },
            )
            for name in repositories
        )  # fmt: skip


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else "no error output"


def main(argv: Sequence[str]) -> int:
    if not argv:
        print(__doc__, file=sys.stderr)
        return 2
    tree, atom = Path(argv[0]).absolute(), (list(argv[1:]) or ["dev-lang/python"])[0]
    jobs = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-depcache-") as directory:
        bench = Bench(Path(directory), tree)
        show("set up, nothing cached", bench.set_up())
        bench.forget()
        show(f"resolve {atom}, cold", bench.resolve(atom))
        show(f"resolve {atom}, again", bench.resolve(atom))
        for count in sorted({1, jobs}):
            bench.forget()
            show(
                f"flatcar-prefix regen --jobs={count}, cold",
                bench.program("regen", f"--jobs={count}"),
            )
        show("flatcar-prefix regen, warm", bench.program("regen"))
        show(f"resolve {atom}, warm", bench.resolve(atom))
        show(f"egencache --jobs={jobs}, cold", bench.egencache(jobs))
        show(f"egencache --jobs={jobs}, warm", bench.egencache(jobs))
    return 0


def show(what: str, seconds: float) -> None:
    print(f"{what:45} {seconds:8.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
