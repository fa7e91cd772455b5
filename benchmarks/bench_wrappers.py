#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure the cost of a wrapper over the bare tool, and the methods it replaces, in one run.

    benchmarks/bench_wrappers.py [--runs N] [--json] [--check]

The tool is /bin/true. The board wrapper's method is a bash script that exports the variables of
a board and calls the tool with sudo. cb-emerge's preamble first calls portageq a dozen times.
Both scripts imitate these programs. All methods take turns. Times are medians in milliseconds;
"least" is the best run, and "cpu" is processor time, which depends less on the load of the
machine. --check fails if a figure exceeds its goal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [os.fspath(TOP)]

import flatcar_prefix as fp
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.wrappers import declaration, files

GOALS = {"cross": 3.0, "view": 12.0, "generate 1": 150.0}
"""Goals in milliseconds; those of wrappers are the difference to the bare tool."""

DECLARATION = (
    "[tool]\ndescription = x\npackage = sys-apps/coreutils\nroot = final\nentry = {}\n"
    "command = /bin/true\ncompiled = yes\n"
)

BOARD = """\
#!/bin/bash
export CHOST={chost} SYSROOT={root} ROOT={root} PORTAGE_CONFIGROOT={root}{eprefix} EPREFIX={eprefix}
exec sudo -E CHOST="${{CHOST}}" SYSROOT="${{SYSROOT}}" ROOT="${{ROOT}}" \\
	PORTAGE_CONFIGROOT="${{PORTAGE_CONFIGROOT}}" EPREFIX="${{EPREFIX}}" /bin/true "$@"
"""

PREAMBLE = """\
#!/bin/bash
export SYSROOT={root} ROOT={root} PORTAGE_CONFIGROOT={root}{eprefix} EPREFIX={eprefix}
export PORTAGE_OVERRIDE_EPREFIX={host}
for variable in ARCH CBUILD CHOST CFLAGS DISTDIR PKGDIR PORTAGE_TMPDIR PORTDIR FEATURES MAKEOPTS \\
	EMERGE_DEFAULT_OPTS EROOT; do
	printf -v "CB_${{variable}}" %s "$({portageq} envvar "${{variable}}" 2>/dev/null)"
done
exec /bin/true "$@"
"""


@dataclass(frozen=True)
class Row:
    name: str
    median: float
    least: float
    cpu: float | None = None
    over: float | None = None
    """Milliseconds over the bare tool, of the medians."""
    goal: float | None = None

    @property
    def met(self) -> bool:
        value = self.median if self.over is None else self.over
        return self.goal is None or value <= self.goal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail when over a goal")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-wrappers-") as directory:
        rows = measure(Path(directory), args.runs)
    if args.json:
        print(json.dumps([vars(row) for row in rows], indent=2))
    else:
        table(rows)
    return 1 if args.check and not all(row.met for row in rows) else 0


def measure(directory: Path, runs: int) -> list[Row]:
    for name in ("BUILD", "CACHE", "STATE", "WRAPPER"):
        os.environ[f"FLATCAR_PREFIX_{name}_DIR"] = os.fspath(directory / name.lower())
    os.environ["XDG_CONFIG_HOME"] = os.fspath(directory / "config")
    prefix = fp.setup(
        "bench", "/usr/local/bench", bootstrap="none", final_dir=directory / "final/bench"
    )
    return [*calls(prefix, directory, runs), *generation(prefix, directory)]


def calls(prefix: Prefix, directory: Path, runs: int) -> list[Row]:
    declared = directory / "config/flatcar-prefix/wrappers.d"
    declared.mkdir(parents=True)
    for entry in ("cross", "view"):
        (declared / f"bench-{entry}.conf").write_text(DECLARATION.format(entry))
    files.generate(prefix)
    beside = Path(sys.executable).parent
    values = {
        "root": prefix.final.path,
        "eprefix": prefix.eprefix,
        "chost": prefix.board.chost,
        "host": prefix.host_dir,
        "portageq": f"{sys.executable} {shutil.which('portageq', path=beside)}",
    }
    candidates = {
        "bare /bin/true": ["/bin/true"],
        "cross": [os.fspath(prefix.wrapper("bench-cross").path)],
        "view": [os.fspath(prefix.wrapper("bench-view").path)],
        "the board wrapper's way": [script(directory / "board", BOARD.format(**values))],
    }
    if not shutil.which("sudo"):
        del candidates["the board wrapper's way"]
    timed = take_turns(candidates, runs)
    preamble = [script(directory / "preamble", PREAMBLE.format(**values))]
    timed |= take_turns({"cb-emerge's preamble": preamble}, max(3, runs // 25))
    return [row(name, took, timed["bare /bin/true"]) for name, took in timed.items()]


def row(name: str, took: list[Took], bare: list[Took]) -> Row:
    median = statistics.median(t.wall for t in took)
    return Row(
        name,
        median,
        min(t.wall for t in took),
        statistics.median(t.cpu for t in took),
        median - statistics.median(t.wall for t in bare),
        GOALS.get(name),
    )


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return os.fspath(path)


@dataclass(frozen=True)
class Took:
    """Milliseconds."""

    wall: float
    cpu: float


def take_turns(candidates: dict[str, list[str]], runs: int) -> dict[str, list[Took]]:
    timed: dict[str, list[Took]] = {name: [] for name in candidates}
    for number in range(runs + 1):
        for name, argv in candidates.items():
            took = run(argv)
            if number:
                timed[name].append(took)
    return timed


def run(argv: list[str]) -> Took:
    started = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ)
    _pid, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - started
    if status:
        raise SystemExit(f"{argv[0]} failed with status {status}")
    return Took(took * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def generation(prefix: Prefix, directory: Path) -> list[Row]:
    """Time the writing of all wrappers, for one prefix and for many."""
    rows = []
    for number in (1, 10, 100):
        many = [twin(prefix, directory / f"g{number}", n) for n in range(number)]
        for name in (f"generate {number}", f"generate {number}, nothing to do"):
            cpu = time.process_time()
            took = seconds(lambda many=many: [files.generate(p) for p in many]) * 1000  # type: ignore[misc]
            cpu = (time.process_time() - cpu) * 1000
            rows.append(Row(name, took, took, cpu, goal=GOALS.get(name)))
    return rows


def twin(prefix: Prefix, directory: Path, number: int) -> Prefix:
    made = replace(
        prefix,
        name=f"bench{number}",
        staging_dir=directory / f"staging{number}",
        final_dir=directory / f"final{number}",
        wrapper_dir=directory / "bin",
    )
    made.staging_dir.mkdir(parents=True)
    return record.write(made)


def table(rows: list[Row]) -> None:
    print(f"{len(declaration.tools())} declarations")
    print(f"{'':28} {'median':>9} {'least':>9} {'cpu':>9} {'over bare':>10} {'goal':>7}")
    for row in rows:
        over = "" if row.over is None else f"{row.over:10.2f}"
        goal = "" if row.goal is None else f"{row.goal:7.1f} {'met' if row.met else 'MISSED'}"
        figures = f"{row.median:9.2f} {row.least:9.2f} {row.cpu or 0:9.2f}"
        print(f"{row.name:28} {figures} {over:>10} {goal}")


if __name__ == "__main__":
    sys.exit(main())
