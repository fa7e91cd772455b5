# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures for everybody: a machine, and a prefix with a C library to build into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the tests find into tests/config/golden",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs root fails for others: skipped, nobody would miss it."""
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.fail("this test needs root; leave it out by -m 'not needs_root'", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def _places_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that a test calls in this process finds the machine's own places."""
    base = tmp_path_factory.mktemp("in-process")
    for name in ("BUILD", "CACHE", "STATE", "WRAPPER"):
        os.environ[f"FLATCAR_PREFIX_{name}_DIR"] = str(base / name.lower())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of the test's own, without any prefix."""
    return Machine(tmp_path / "machine")


@pytest.fixture(scope="session")
def shared_machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that tests share; each uses names of its own."""
    return Machine(tmp_path_factory.mktemp("shared") / "machine")


@pytest.fixture(scope="session")
def overlay(shared_machine: Machine) -> Overlay:
    """The overlay of the prefixes that tests share, for packages of any test."""
    return Overlay(shared_machine.base / "overlay", "test-overlay")


@pytest.fixture(scope="session")
def empty_prefix(shared_machine: Machine, overlay: Overlay) -> InUse:
    """A prefix without a C library (``--bootstrap=none``): enough for whatever does not link."""
    return shared_machine.setup("empty", f"--custom_ebuild_overlays={overlay.path}")


@pytest.fixture(scope="session")
def imported_prefix(shared_machine: Machine, overlay: Overlay) -> InUse:
    """A prefix that programs can be compiled for (``--bootstrap=import``), half a minute's work.

    Tests leave it as it is, but for packages of names that no other test uses.
    """
    return shared_machine.setup(
        "imported", "--bootstrap=import", f"--custom_ebuild_overlays={overlay.path}"
    )
