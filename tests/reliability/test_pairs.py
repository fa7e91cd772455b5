# SPDX-License-Identifier: BSD-3-Clause
"""Two commands for one prefix at the same time: each completes, or says why not.

``FLATCAR_PREFIX_RUNS=500 pytest -m e2e tests/reliability/test_pairs.py`` runs 500 pairs.
"""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from harness import RUNS, TIMEOUT, Scene
from machine import InUse, Machine, Overlay

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(TIMEOUT), pytest.mark.needs_root]


def verbs(machine: Machine, prefix: InUse, overlay: Overlay) -> dict[str, list[str]]:
    """Return the command of each verb."""
    fp = [sys.executable, "-m", "flatcar_prefix"]
    setup = machine.setup_command("--bootstrap=none", prefix.name, prefix.eprefix)
    return {
        "setup": setup,
        "force": [*setup, "--force"],
        "uninstall": [*fp, "uninstall", prefix.name],
        "wrappers": [*fp, "wrappers", prefix.name],
        "check": [*fp, "wrappers", prefix.name, "--check"],
        "update": [*fp, "update", prefix.name],
        "overlays": [*fp, "overlays", prefix.name, "add", str(overlay.path)],
        "list": [*fp, "list", "--json"],
        "show": [*fp, "show", prefix.name],
        "verify": [*fp, "verify", prefix.name],
        "regen": [*fp, "regen", prefix.name],
        "sysext": [*fp, "sysext", prefix.name, "--no-verify", "-o", str(machine.base / "p.raw")],
        "emerge": [str(prefix.wrapper("emerge")), "--quiet", "--oneshot", "app-misc/letter"],
    }


def test_pairs(machine: Machine) -> None:
    scene = Scene(machine)
    overlay = Overlay(machine.base / "overlay", "of-pairs")
    overlay.ebuild("app-misc/letter-1")
    second = Overlay(machine.base / "second", "second")
    prefix = InUse(machine, "p", "/usr/local/p")
    commands = verbs(machine, prefix, second)
    pairs = list(itertools.combinations_with_replacement(commands, 2))
    scene.chance.shuffle(pairs)
    first = f"--custom_ebuild_overlays={overlay.path}"
    for one, other in itertools.islice(itertools.cycle(pairs), RUNS):
        if machine.fp("show", "p").returncode:
            machine.setup("p", "--force", first)
        else:
            machine.setup("p", "--force", first) if "overlays" in (one, other) else None
        children = [
            subprocess.Popen(
                commands[verb], env=machine.environment(), cwd=machine.base, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for verb in (one, other)
        ]  # fmt: skip
        for verb, child in zip((one, other), children, strict=True):
            out, err = child.communicate(timeout=200)
            said = f"{one} + {other}: {verb} exits {child.returncode}\n{out}\n{err}"
            assert "Traceback" not in out + err, said
            assert child.returncode in (0, 1, 127), said
            assert child.returncode == 0 or err.strip() or verb in ("verify", "check"), said
        scene.check(*([prefix] if prefix.staging_dir.exists() else []))
        if not {"uninstall", "force"} & {one, other}:
            assert machine.fp("show", "p").returncode == 0
            assert machine.run(prefix.wrapper("portageq"), "envvar", "ARCH").stdout == "amd64\n"
    machine.fp("uninstall", "p")
    assert not prefix.staging_dir.exists()
    assert not prefix.final_dir.exists()
