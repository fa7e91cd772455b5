# SPDX-License-Identifier: BSD-3-Clause
"""A command that was killed at any moment completes when it runs again.

The moments are system calls that change the file system. strace counts them, so a failure is
reproducible.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from machine import InUse, Machine, snapshot

MARKER = ".flatcar-prefix"
RECORD = "flatcar-prefix.json"
NO_CACHES = {"PYTHONDONTWRITEBYTECODE": "1"}
"""Variables that keep Python from writing its caches, which would change the count."""

CHANGES = "mkdir,rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat,rmdir,chmod,fchmodat"

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand, pytest.mark.needs_root]


Moment = tuple[str, int]
"""A system call, and the number of the call."""


def moments(machine: Machine, command: list[str], *, each: int = 3) -> list[Moment]:
    """Run a command; return some moments of each kind of change, sorted by kind."""
    log = machine.base / "strace.log"
    machine.ok(
        "strace",
        "-qq",
        "-e",
        "signal=none",
        "-o",
        log,
        "-e",
        f"trace={CHANGES}",
        *command,
        env=NO_CACHES,
    )
    calls = Counter(line.partition("(")[0] for line in log.read_text().splitlines())
    assert calls.total() > 40, calls
    return [
        (call, number)
        for call, count in sorted(calls.items())
        for number in sorted({1 + step * (count - 1) // max(1, each - 1) for step in range(each)})
    ]


def killed(machine: Machine, command: list[str], moment: Moment) -> bool:
    """Run a command and kill it just before the change.

    Return whether it got there: a later run, with caches, may make fewer changes.
    """
    call, number = moment
    result = machine.run(
        "strace", "-qq", "-o", machine.base / "strace.log", "-e", f"trace={call}",
        "-e", f"inject={call}:signal=KILL:when={number}", *command, env=NO_CACHES,
    )  # fmt: skip
    assert result.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), (moment, result.stderr)
    return result.returncode != 0


def is_complete(prefix: InUse) -> bool:
    record = prefix.staging_dir / RECORD
    return record.exists() and json.loads(record.read_text())["complete"]


def wrappers(machine: Machine) -> list[str]:
    return sorted(path.name for path in machine.bin.glob("*")) if machine.bin.exists() else []


def whole(prefix: InUse) -> dict[str, str]:
    """Return the contents of a prefix without its times and its random identity."""
    seen = snapshot(prefix.staging_dir, prefix.final_dir, prefix.machine.bin)
    own = {str(prefix.staging_dir / RECORD)}
    own |= {str(place / MARKER) for place in (prefix.staging_dir, prefix.final_dir)}
    changing = re.compile(r'"(created|identity)": [^,}]+')
    return {path: changing.sub("", text) if path in own else text for path, text in seen.items()}


def test_a_set_up_killed_at_any_change_is_completed_by_the_same_command(machine: Machine) -> None:
    command = machine.setup_command("--bootstrap=none", "k", "/usr/local/k")
    prefix = InUse(machine, "k", "/usr/local/k")
    chosen = moments(machine, command)
    meant = whole(prefix)
    assert machine.fp("uninstall", "k").returncode == 0
    half_made = 0
    for moment in chosen:
        killed(machine, command, moment)
        if not is_complete(prefix):
            half_made += 1
            assert wrappers(machine) == [], f"wrappers of a half-made prefix: {moment}"
        if whole(prefix) != meant:
            machine.setup("k")
        now = whole(prefix)
        different = sorted(
            path for path in set(now) | set(meant) if now.get(path) != meant.get(path)
        )
        assert not different, f"killed at {moment}"
        assert machine.fp("uninstall", "k").returncode == 0
    assert half_made > len(chosen) / 3


def test_killed_again_and_again_it_completes_at_last(machine: Machine) -> None:
    command = machine.setup_command("--bootstrap=none", "k", "/usr/local/k")
    prefix = InUse(machine, "k", "/usr/local/k")
    for moment in (("mkdir", 4), ("chmod", 1), ("rename", 5), ("rename", 9)):
        killed(machine, command, moment)
    machine.setup("k")
    assert is_complete(prefix)
    assert machine.run(prefix.wrapper("portageq"), "envvar", "ARCH").stdout == "amd64\n"


def test_a_removal_killed_at_any_change_is_completed_by_the_same_command(machine: Machine) -> None:
    machine.setup("k")
    saved = machine.base / "saved"
    tops = {"staging": machine.staging("k"), "final": machine.final("k"), "bin": machine.bin}
    for name, top in tops.items():
        shutil.copytree(top, saved / name, symlinks=True)
    command = machine.setup_command("--uninstall", "k")
    for moment in moments(machine, command):
        for name, top in tops.items():
            shutil.rmtree(top, ignore_errors=True)
            shutil.copytree(saved / name, top, symlinks=True)
        killed(machine, command, moment)
        if (machine.staging("k")).exists() and os.listdir(machine.staging("k")):
            machine.ok(*command)
        assert wrappers(machine) == []
        assert not machine.final("k").exists()
        left = machine.staging("k")
        assert not left.exists() or not list(left.iterdir()), moment


def test_a_recreated_and_killed_prefix_is_completed_by_the_same_command(machine: Machine) -> None:
    machine.setup("k")
    command = machine.setup_command("--bootstrap=none", "--force", "k", "/usr/local/k")
    for moment in moments(machine, command, each=2):
        killed(machine, command, moment)
        if not is_complete(InUse(machine, "k", "/usr/local/k")):
            assert wrappers(machine) == []
        machine.ok(*command)
        assert is_complete(InUse(machine, "k", "/usr/local/k"))


def _log(prefix: InUse, stage: str) -> Path:
    return prefix.staging_dir / "logs" / f"bootstrap-{stage}.log"


def wait_for(text: str, log: Path, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 200
    while time.monotonic() < until and child.poll() is None:
        if log.exists() and text in log.read_text(errors="replace"):
            return
        time.sleep(0.02)
    pytest.fail(f"{text!r} never came to {log}, exit code {child.poll()}")


def test_a_bootstrap_that_is_killed_goes_on_where_it_stopped(machine: Machine) -> None:
    command = machine.setup_command("--bootstrap=import", "k", "/usr/local/k")
    prefix = InUse(machine, "k", "/usr/local/k")
    at = (
        ("baselayout", ">>> Emerging (1 of 1) sys-apps/baselayout"),
        ("os-headers", ">>> Installing (1 of"),
        ("libc", ">>> Emerging (1 of 1) prefix/imported-libc"),
    )
    for stage, text in at:
        with (machine.base / "out").open("w") as out:
            child = subprocess.Popen(command, env=machine.environment(), stdout=out, stderr=out)
            wait_for(text, _log(prefix, stage), child)
            child.kill()
            child.wait()
        assert not is_complete(prefix)
        assert wrappers(machine) == []
        assert_nobody_is_left(prefix)
    done = json.loads((prefix.staging_dir / RECORD).read_text())["stages_done"]
    assert done == ["baselayout", "os-headers"]
    said = machine.ok(*command).stdout
    assert "baselayout (" not in said, "complete stages do not run again"
    assert "libc (" in said
    assert is_complete(prefix)
    for kind in ("staging", "final"):
        assert {"prefix/imported-libc-1-r1", "sys-apps/baselayout-99"} <= prefix.installed(kind)
        assert not list((prefix.eroot(kind) / "var/db/pkg").glob("*/-MERGING-*"))
    assert (prefix.final / "lib64/ld-linux-x86-64.so.2").exists()


def assert_nobody_is_left(prefix: InUse) -> None:
    """The emerge of a killed set-up ends before the next set-up starts its own."""
    until = time.monotonic() + 30
    while True:
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_emerge_of(pid, prefix)]
        if not left:
            return
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.1)


def _is_emerge_of(pid: str, prefix: InUse) -> bool:
    try:
        command = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"emerge" in command and str(prefix.staging_dir).encode() in command
