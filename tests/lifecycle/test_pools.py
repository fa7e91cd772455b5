# SPDX-License-Identifier: BSD-3-Clause
"""A pool says that it is one, ends its gpg-agent, and limits the paths of its consumers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from machine import InUse, Machine, two_lines

from flatcar_prefix.lifecycle import stages
from flatcar_prefix.prefix import locks, record
from flatcar_prefix.relocate.eprefix import LENGTH, pool_eprefix
from flatcar_prefix.system.progress import NO_PROGRESS


@pytest.fixture(scope="module")
def pool() -> Iterator[InUse]:
    """A signed pool; GnuPG makes sockets in it, so its path is short."""
    with TemporaryDirectory(prefix="fp-pools-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        machine = Machine(Path(directory) / "m")
        machine.ok(*machine.setup_command("--bootstrap=none", "--pool", "shared"))
        yield InUse(machine, "shared", pool_eprefix("shared"))


def test_list_and_show_say_that_it_is_a_pool(pool: InUse) -> None:
    machine = pool.machine
    (line,) = machine.fp("list").stdout.splitlines()
    assert line.split(None, 3)[3] == "ready, a pool"
    assert "shared-amd64-usr, ready, a pool\n" in machine.fp("show", "shared").stdout
    (entry,) = json.loads(machine.fp("list", "--json").stdout)
    assert entry["pool"] is True


@pytest.mark.parametrize("key", [(), ("--binhost-key=none",)])
def test_a_path_that_is_too_long_for_the_pool_is_refused(pool: InUse, key: tuple[str]) -> None:
    eprefix = f"/opt/{'x' * LENGTH}"
    said = pool.machine.try_setup("--bootstrap=none", "--binhost=shared", *key, "long", eprefix)
    assert said.returncode == 2
    what, hint = two_lines(said)
    assert what == (
        f"the packages of the pool shared-amd64-usr fit paths of at most {LENGTH} bytes;"
        f" {eprefix} has {len(eprefix)}"
    )
    assert f"a path of at most {LENGTH} bytes" in hint and "--binhost=none" in hint
    assert not pool.machine.staging("long").exists()


def test_the_agent_ends_with_its_last_user(pool: InUse) -> None:
    prefix = record.read(pool.staging_dir)
    home = prefix.own_signing_home

    def has_agent(*, after: float = 0.0) -> bool:
        """Return whether an agent of the pool answers, at the latest ``after`` seconds."""
        end = time.monotonic() + after
        while True:
            argv = ["gpg-connect-agent", "--no-autostart", "--homedir", home, "/bye"]
            said = subprocess.run(argv, capture_output=True, text=True, check=False)
            answers = "no gpg-agent running" not in said.stderr
            if not answers or time.monotonic() > end:
                return answers
            time.sleep(0.1)

    def launch() -> None:
        subprocess.run(["gpgconf", "--homedir", home, "--launch", "gpg-agent"], check=True)
        assert has_agent()

    assert not has_agent()  # The set-up has made a key.
    launch()
    stages.bootstrap(prefix, say=NO_PROGRESS)
    assert not has_agent(after=10)

    launch()
    left: list[str] = []
    argv = ["flock", "--shared", pool.staging_dir, "sh", "-c", "echo locked; cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        with locks.using(prefix, leave=lambda: left.append("too early")):
            assert other.stdout is not None and other.stdout.readline() == "locked\n"
        other.communicate()
    assert left == []
    pool.install("--stage", "--version")
    assert not has_agent(after=10)
