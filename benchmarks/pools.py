# SPDX-License-Identifier: BSD-3-Clause
"""Measure pools: set-up and a package from a pool and from source, many prefixes, bytes fetched.

    python benchmarks/pools.py [--bootstrap source] [--package dev-lang/python] [--prefixes 50]

It creates a pool in a temporary directory, which takes as long as a build from source; --pool
uses an existing pool, with the variables FLATCAR_PREFIX_*_DIR that it was created with. All
ratios are from one run on one machine. --quick uses an imported C library and bzip2.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from flatcar_prefix.portage_api import index_keys
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix

SETUP = "import sys; from flatcar_prefix.cli.main import setup_prefix; sys.exit(setup_prefix())"


@dataclass
class Bench:
    """One run of all measurements."""

    base: Path
    bootstrap: str
    package: str
    seconds: dict[str, float] = field(default_factory=dict)

    def setup(self, *words: str) -> float:
        """Return the duration of a set-up."""
        command = [sys.executable, "-c", SETUP, f"--bootstrap={self.bootstrap}", *words]
        return self._timed(command)

    def prefix(self, name: str, *words: str) -> float:
        """Return the duration of the set-up of a prefix and of the installation of the package."""
        final = f"--final_dir={self.base}/final/{name}"
        took = self.setup(final, *words, name, f"/opt/{name}")
        return took + self.install(name)

    def install(self, name: str) -> float:
        wrapper = registry.load(name).wrapper("emerge").path
        return self._timed([str(wrapper), "--quiet", self.package])

    def _timed(self, command: list[str]) -> float:
        log = self.base / "log"
        began = time.perf_counter()
        with log.open("a") as output:
            code = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
        if code:
            sys.exit(f"{command} failed; see {log}")
        return time.perf_counter() - began


def disk(prefix: Prefix) -> int:
    """Return the bytes on disk that a prefix uses."""
    places = [str(prefix.staging_dir), str(prefix.final_dir)]
    said = subprocess.run(["du", "-sk", *places], capture_output=True, text=True, check=True)
    return sum(int(line.split()[0]) for line in said.stdout.splitlines()) << 10


class Counting(SimpleHTTPRequestHandler):
    """Serves a directory and counts the bytes of its files that it sends."""

    sent = 0

    def log_message(self, *_: Any) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        Counting.sent += os.fstat(source.fileno()).st_size
        super().copyfile(source, outputfile)


def fetched(bench: Bench, pool: Prefix) -> tuple[int, int]:
    """Return the bytes that a consumer fetches over HTTP, and the size of the packages it needs."""
    handler = partial(Counting, directory=str(pool.staging.pkgdir))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = pool.staging.pkgdir / "pool-key.asc"
    url = f"http://127.0.0.1:{server.server_port}"
    keys = f"--binhost-key={key if pool.signing_key else 'none'}"
    bench.seconds["over HTTP"] = bench.prefix("overhttp", f"--binhost={url}", keys)
    server.shutdown()
    taken = registry.load("overhttp").staging.pkgdir
    return Counting.sent, sum(path.stat().st_size for path in taken.rglob("*.gpkg.tar"))


def built_from_source(prefix: Prefix) -> list[str]:
    """Return the packages of staging that were built for the EPREFIX of the prefix itself."""
    database = prefix.staging.bintree.dbapi
    return [
        str(cpv)
        for cpv in database.cpv_all()
        if database.aux_get(cpv, [index_keys.EPREFIX]) == [prefix.eprefix]
    ]


def row(what: str, value: float, goal: str, detail: str = "") -> None:
    print(f"{what:52}{value:9.2f}   {goal:8}{detail}")


def measure(bench: Bench, pool: Prefix, prefixes: int) -> None:
    taken = bench.prefix("first", f"--binhost={pool.id}")
    if built := built_from_source(registry.load("first")):
        sys.exit(f"these packages do not come from the pool: {', '.join(built)}")
    source = bench.prefix("fromsource", "--binhost=none")
    row(
        f"set up + {bench.package}: from a pool / from source", taken / source, "<= 0.1",
        f"  {taken:.1f} s, {source:.1f} s",
    )  # fmt: skip
    sent, needed = fetched(bench, pool)
    row(
        "bytes fetched / size of the packages installed", sent / needed, "<= 1.1",
        f"  {sent}, {needed}",
    )  # fmt: skip
    times, sizes = [taken], [disk(registry.load("first"))]
    for number in range(2, prefixes + 1):
        times.append(bench.prefix(f"many{number}", f"--binhost={pool.id}"))
        sizes.append(disk(registry.load(f"many{number}")))
    if prefixes > 2:
        row(f"time of prefix {prefixes} / of the 2nd", times[-1] / times[1], "<= 1.1")
        row(f"disk of prefix {prefixes} / of the 2nd", sizes[-1] / sizes[1], "<= 1.1")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default="source")
    parser.add_argument("--package", default="dev-lang/python")
    parser.add_argument("--prefixes", type=int, default=50)
    parser.add_argument("--pool", help="the name of an existing pool")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    bootstrap, package = args.bootstrap, args.package
    if args.quick:
        bootstrap, package = "import", "app-arch/bzip2"
    with tempfile.TemporaryDirectory(prefix="bp-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        if not args.pool:
            for name in ("BUILD", "STATE", "WRAPPER"):
                os.environ[f"FLATCAR_PREFIX_{name}_DIR"] = f"{directory}/{name.lower()}"
        bench = Bench(Path(directory), bootstrap, package)
        if not args.pool:
            bench.setup("--pool", f"--final_dir={directory}/final/pool", "pool")
            bench.install("pool")
        print(f"{'ratio':52}{'measured':>9}   goal    load {os.getloadavg()[0]:.1f}")
        measure(bench, registry.load(args.pool or "pool"), args.prefixes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
