# SPDX-License-Identifier: BSD-3-Clause
"""What ``flatcar-prefix doctor`` says about the prefixes of a machine."""

from __future__ import annotations

import json
import shlex
import shutil

from machine import Machine


def left_wrappers(machine: Machine) -> list[dict[str, str]]:
    checks = json.loads(machine.fp("doctor", "--json").stdout)
    return [check for check in checks if check["name"] == "left wrappers"]


def test_it_names_the_wrappers_of_a_deleted_prefix_and_how_to_remove_them(
    machine: Machine,
) -> None:
    gone = machine.setup("gone")
    assert left_wrappers(machine) == []
    shutil.rmtree(gone.staging_dir)
    shutil.rmtree(gone.final_dir)
    (left,) = left_wrappers(machine)
    assert str(gone.staging_dir) in left["found"] and not left["ok"]
    program, *words = shlex.split(left["hint"].removeprefix("Remove them: "))
    assert program == "flatcar-prefix"
    assert machine.fp(*words).returncode == 0
    assert not list(machine.bin.iterdir())
