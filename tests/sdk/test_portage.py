# SPDX-License-Identifier: BSD-3-Clause
"""Other versions of Portage; tests/portage-versions uses real ones."""

from __future__ import annotations

import sys

import pytest
from machine import Machine, Run, two_lines

pytestmark = pytest.mark.needs_root

FAKED = (
    "import sys, portage; portage.VERSION = sys.argv.pop(1);"
    "from flatcar_prefix.cli.main import setup_prefix; sys.exit(setup_prefix())"
)


def setup_with(machine: Machine, version: str) -> Run:
    """Set a prefix up with a Portage that reports another version."""
    args = (f"--scripts_dir={machine.scripts}", "--bootstrap=none", "new", "/usr/local/new")
    return machine.run(sys.executable, "-c", FAKED, version, *args)


def test_a_newer_one_than_known_warns_once_and_goes_on(machine: Machine) -> None:
    said = setup_with(machine, "99.1")
    assert said.returncode == 0
    assert said.stderr.count("99.1") == 1
    assert len(said.stderr.splitlines()) == 1
    assert (machine.bin / "emerge-prefix-new").exists()


def test_one_that_is_known_is_not_worth_a_word(machine: Machine) -> None:
    assert setup_with(machine, "3.0.80").stderr == ""


def test_one_whose_version_says_nothing_is_taken_as_it_is(machine: Machine) -> None:
    said = setup_with(machine, "HEAD")
    assert (said.returncode, said.stderr) == (0, "")


def test_one_that_is_too_old_is_refused_before_anything_is_created(machine: Machine) -> None:
    said = setup_with(machine, "3.0.30")
    assert said.returncode == 1
    what, hint = two_lines(said)
    assert what == "Portage 3.0.30 is too old"
    assert "3.0.63" in hint
    assert not machine.staging("new").exists()
