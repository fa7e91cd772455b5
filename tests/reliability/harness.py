# SPDX-License-Identifier: BSD-3-Clause
"""Shared parts of the reliability tests: another prefix, kills, and forbidden remains.

``FLATCAR_PREFIX_RUNS`` is the number of runs of each kind (default 10), and
``FLATCAR_PREFIX_SEED`` makes the same choices again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from machine import InUse, Machine, snapshot

RUNS = int(os.environ.get("FLATCAR_PREFIX_RUNS", "10"))
TIMEOUT = max(900, 120 * RUNS)
"""The limit of a test in seconds; a run takes 2 to 60 seconds on an idle machine."""
SEED = int(os.environ.get("FLATCAR_PREFIX_SEED", "1"))


@dataclass
class Scene:
    """A machine with a prefix and a user's directory that nothing may touch."""

    machine: Machine
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    def __post_init__(self) -> None:
        self.temporary = self.machine.base / "tmp"
        self.temporary.mkdir()
        self.machine.variables["TMPDIR"] = str(self.temporary)
        self.users = self.machine.base / "users"
        (self.users / "thesis").mkdir(parents=True)
        (self.users / "thesis/chapter").write_text("dear")
        self.bystander = self.machine.setup("bystander")
        self.before = self._outside()

    def _outside(self) -> dict[str, str]:
        other = self.bystander
        seen = snapshot(self.users, other.staging_dir, other.final_dir)
        wrappers = self.machine.bin.glob("*-prefix-bystander*")
        return seen | {str(path): path.read_text(errors="replace") for path in wrappers}

    def check(self, *prefixes: InUse) -> None:
        """Fail if anything outside changed, or if a killed command left anything."""
        now = self._outside()
        changed = [p for p in now.keys() | self.before.keys() if now.get(p) != self.before.get(p)]
        assert not changed, changed
        assert not (left := sorted(self.temporary.rglob("*"))), left
        places = [self.machine.bin, *(d for p in prefixes for d in (p.staging_dir, p.final_dir))]
        left = [p for place in places for p in place.rglob(".*.new")]
        assert not left, left
        packages = [
            p for prefix in prefixes for p in (prefix.staging_dir / "pkgs").rglob("*.gpkg.tar?*")
        ]
        assert not packages, packages
        assert_no_process(self.machine.base)

    def kill(self, command: Sequence[str], seconds: float) -> bool:
        """Run a command and kill it, it alone, at a random moment; return whether it was killed."""
        with (self.machine.base / "out").open("w") as out:
            child = subprocess.Popen(
                command, env=self.machine.environment(), stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, cwd=self.machine.base,
            )  # fmt: skip
            try:
                child.wait(timeout=self.chance.uniform(0.15, 0.95) * seconds)
            except subprocess.TimeoutExpired:
                child.kill()
            child.wait()
        said = (self.machine.base / "out").read_text(errors="replace")
        assert "Traceback" not in said, said
        assert_no_process(self.machine.base)
        return child.returncode == -signal.SIGKILL

    def again(self, command: Sequence[str]) -> None:
        """Run the same command, which must complete now."""
        self.machine.ok(*command)

    def seconds(self, command: Sequence[str]) -> float:
        """Return how long the command takes here; it must succeed."""
        begun = time.monotonic()
        self.machine.ok(*command)
        return time.monotonic() - begun


def assert_no_process(base: Path, *, patience: float = 30.0) -> None:
    """Fail if a process remains whose command line or working directory is in ``base``."""
    until = time.monotonic() + patience
    while left := [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_in(pid, base)]:
        assert time.monotonic() < until, f"still there: {[_command(pid) for pid in left]}"
        time.sleep(0.1)


def _is_in(pid: str, base: Path) -> bool:
    if int(pid) in (os.getpid(), os.getppid()):
        return False
    name = os.fsencode(base)
    try:
        cwd = os.readlink(os.fsencode(f"/proc/{pid}/cwd"))
    except OSError:
        return False
    return name + b"/" in _command(pid) or cwd == name or cwd.startswith(name + b"/")


def _command(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""
