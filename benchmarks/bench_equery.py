# SPDX-License-Identifier: BSD-3-Clause
"""Measure this program's equery, and gentoolkit's if a checkout of it is given.

    python benchmarks/bench_equery.py [--gentoolkit CHECKOUT] [--fixture DIR] [--runs N]

Both run with this Python, next to which Portage must be installed, in the same view of the same
prefix; the mount namespace needs root. The first prefix is the fixture of the tests, the second
a synthetic VDB of 1,000 packages and 100,000 files. Times are medians in milliseconds; the two
programs take turns. "cpu" is processor time, which depends less on the load of the machine.
Memory is the peak resident set of the process.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

_TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_TOP / "tests" / "equery"))
from fixture_prefix import EPREFIX, Fixture, build, configure

GOAL = 0.7
SMALL = (
    ["belongs", f"{EPREFIX}/usr/bin/zeta"],
    ["check", "*"],
    ["depends", "dev-libs/beta"],
    ["depends", "-D", "dev-libs/beta"],
    ["depgraph", "app-misc/docs"],
    ["files", "app-misc/alpha"],
    ["has", "SLOT", "2"],
    ["hasuse", "foo"],
    ["keywords", "app-misc/alpha"],
    ["list", "*"],
    ["list", "-po", "*"],
    ["meta", "app-misc/alpha"],
    ["size", "*"],
    ["uses", "app-misc/alpha"],
    ["which", "app-misc/alpha"],
)
LARGE = (
    ["belongs", f"{EPREFIX}/usr/share/p500/d2/f50"],
    ["belongs", "-e", "f50"],
    ["belongs", "-f", ".*/p77/.*7$"],
    ["check", "*"],
    ["check", "synthetic/p500"],
    ["list", "*"],
    ["files", "synthetic/p500"],
    ["size", "*"],
)


class Cost(NamedTuple):
    seconds: float
    cpu: float
    kilobytes: int


def synthetic(base: Path, packages: int, files: int) -> Fixture:
    """A prefix of `packages` packages with `files` files each, and nothing else in its VDB."""
    fixture = configure(base)
    vdb = fixture.eroot / "var" / "db" / "pkg"
    content = b"x" * 400
    digest = hashlib.md5(content).hexdigest()
    for number in range(packages):
        name = f"p{number}"
        parents = ("usr", "usr/share", f"usr/share/{name}")
        lines = [f"dir {EPREFIX}/{parent}" for parent in parents]
        for count in range(files):
            directory = f"usr/share/{name}/d{count % 4}"
            if count < 4:
                (fixture.eroot / directory).mkdir(parents=True)
                lines.append(f"dir {EPREFIX}/{directory}")
            path = fixture.eroot / directory / f"f{count}"
            path.write_bytes(content)
            os.utime(path, (1_700_000_000, 1_700_000_000))
            lines.append(f"obj {EPREFIX}/{path.relative_to(fixture.eroot)} {digest} 1700000000")
        record = vdb / "synthetic" / f"{name}-1.{number}"
        record.mkdir(parents=True)
        (record / "CONTENTS").write_text("\n".join(lines) + "\n")
        for key, value in (("SLOT", "0"), ("EAPI", "8"), ("IUSE", ""), ("repository", "gentoo")):
            (record / key).write_text(f"{value}\n")
    return fixture


def measure(command: list[str], env: dict[str, str]) -> Cost:
    """One run's wall time and peak memory."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - start, cpu, usage.ru_maxrss)


def compare(
    fixture: Fixture, calls: tuple[list[str], ...], checkout: Path | None, runs: int
) -> float:
    """Print one line per call; return the worst ratio of processor time."""
    worst = 0.0
    base = {**fixture.view_env(), "PATH": os.defpath}
    programs = {"ours": ([sys.executable, "-m", "flatcar_prefix.equery"], str(_TOP))}
    if checkout:
        programs["gentoolkit"] = ([sys.executable, f"{checkout}/bin/equery"], f"{checkout}/pym")
    for call in calls:
        costs: dict[str, list[Cost]] = {name: [] for name in programs}
        for turn in range(runs + 1):
            for name, (command, path) in programs.items():
                cost = measure([*command, *call], base | {"PYTHONPATH": path})
                if turn:  # the first run fills caches
                    costs[name].append(cost)
        worst = max(worst, _print(call, costs))
    return worst


def _print(call: list[str], costs: dict[str, list[Cost]]) -> float:
    wall = {name: statistics.median(c.seconds for c in cs) * 1000 for name, cs in costs.items()}
    cpu = {name: statistics.median(c.cpu for c in cs) * 1000 for name, cs in costs.items()}
    memory = {name: max(c.kilobytes for c in cs) / 1024 for name, cs in costs.items()}
    shown = " ".join(call).replace(EPREFIX, "<EPREFIX>").replace("|", "\\|")
    cells = [f"`{shown}`"]
    worst = 0.0
    for figures in (wall, cpu):
        cells += [f"{value:.1f}" for value in figures.values()]
        if "gentoolkit" in figures:
            worst = figures["ours"] / figures["gentoolkit"]
            cells.append(f"{worst:.2f}{' (!)' if worst > GOAL else ''}")
    cells += [f"{value:.1f}" for value in memory.values()]
    print(f"| {' | '.join(cells)} |", flush=True)
    return worst


def _header(checkout: Path | None) -> None:
    names = ["query"]
    for figure in ("ms", "cpu ms"):
        names += [f"ours {figure}", *([f"gentoolkit {figure}", "ratio"] if checkout else [])]
    names += ["ours MiB", *(["gentoolkit MiB"] if checkout else [])]
    print(f"\n| {' | '.join(names)} |\n|{' --- |' * len(names)}")


def _enter_view(fixture: Fixture) -> None:
    """Mount the fixture at its EPREFIX, in the mount namespace of this process."""
    parent = Path(fixture.eprefix).parent
    place = fixture.base / "view-parent"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", place, parent], check=True)
    Path(fixture.eprefix).mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", fixture.eroot, fixture.eprefix], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gentoolkit", type=Path)
    parser.add_argument("--fixture", type=Path, help="one that exists already")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--packages", type=int, default=1000)
    parser.add_argument("--files", type=int, default=100)
    opts = parser.parse_args()
    if "EQUERY_BENCH_NAMESPACE" not in os.environ:
        os.environ["EQUERY_BENCH_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory() as scratch:
        small = Path(scratch) / "small"
        fixture = Fixture(opts.fixture.resolve()) if opts.fixture else build(small)
        _enter_view(fixture)
        _header(opts.gentoolkit)
        worst = compare(fixture, SMALL, opts.gentoolkit, opts.runs)
        large = synthetic(Path(scratch) / "large", opts.packages, opts.files)
        _enter_view(large)
        print(f"\n{opts.packages} packages of {opts.files} files:")
        _header(opts.gentoolkit)
        worst = max(worst, compare(large, LARGE, opts.gentoolkit, max(opts.runs // 3, 3)))
        subprocess.run(["umount", "-R", Path(EPREFIX).parent], check=False)
        subprocess.run(["umount", "-R", Path(EPREFIX).parent], check=False)
    if opts.gentoolkit:
        print(f"\nworst ratio of processor time {worst:.2f}, goal {GOAL}")
    return 1 if worst > GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
