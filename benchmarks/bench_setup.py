# SPDX-License-Identifier: BSD-3-Clause
"""Measure ``setup_prefix --bootstrap=none``, and count how often it loads Portage.

    python benchmarks/bench_setup.py [--runs N]

Goals: under 1.5 seconds, and Portage's configuration loaded once per root.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL_SECONDS = 1.5

COUNTING = """
import json, sys
from flatcar_prefix.portage_api import session as portage_api
portage_api.import_portage()
from portage.package.ebuild import config as module
loads, original = [], module.config.__init__
def counting(self, *args, **kwargs):
    original(self, *args, **kwargs)
    if (args[0] if args else kwargs.get("clone")) is None:
        loads.append(self["EROOT"])
module.config.__init__ = counting
from flatcar_prefix.cli import setup_prefix
code = setup_prefix(sys.argv[1:])
print(json.dumps(loads), file=sys.stderr)
sys.exit(code)
"""


def environment(base: Path) -> dict[str, str]:
    places = {
        f"FLATCAR_PREFIX_{n}_DIR": f"{base}/{n.lower()}"
        for n in ("BUILD", "CACHE", "STATE", "WRAPPER")
    }
    return {**os.environ, **places}


def arguments(base: Path, name: str) -> list[str]:
    return ["--bootstrap=none", f"--final_dir={base}/final/{name}", name, f"/usr/local/{name}"]


def seconds(base: Path, name: str) -> float:
    """Return the duration of one set-up in a separate process."""
    code = "import sys; from flatcar_prefix.cli.main import setup_prefix; sys.exit(setup_prefix())"
    command = [sys.executable, "-c", code, *arguments(base, name)]
    began = time.perf_counter()
    subprocess.run(command, env=environment(base), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def loads(base: Path, name: str) -> dict[str, int]:
    """Return the number of loads of a configuration, by EROOT."""
    command = [sys.executable, "-c", COUNTING, *arguments(base, name)]
    done = subprocess.run(
        command, env=environment(base), check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    roots = json.loads(done.stderr.splitlines()[-1])
    return {str(root): roots.count(root) for root in sorted(set(roots))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="bench-setup-", dir="/var/tmp") as directory:
        base = Path(directory)
        seconds(base, "warm-up")
        took = [seconds(base, f"run{number}") for number in range(runs)]
        counted = loads(base, "counted")
    median = statistics.median(took)
    print(f"setup_prefix --bootstrap=none, {runs} runs, load {os.getloadavg()[0]:.1f}")
    print(f"{'':24}{'median':>9}{'best':>9}{'worst':>9}{'goal':>9}")
    print(f"{'seconds':24}{median:9.2f}{min(took):9.2f}{max(took):9.2f}{GOAL_SECONDS:9.2f}")
    print("loads of Portage's configuration, by root (goal: staging 1, final 1):")
    for root, count in counted.items():
        print(f"{count:9d}  {root.replace(directory, '')}")
    return 0 if median < GOAL_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
