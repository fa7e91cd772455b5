# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures for all tests: a machine, and a prefix with a C library."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the tests find into tests/config/golden",
    )


def pytest_configure() -> None:
    """Let programs under test receive signals that nohup or a shell in the background ignores."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Restore the handlers of signals after each test.

    A test that imports one of Portage's commands sets SIGPIPE to its default, which then ends
    the process in another test, when a client leaves the web server of that test.
    """
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files start first: a process that starts one at the end works alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make a test that needs root fail for other users; a skipped test would not be noticed."""
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.fail("this test needs root; leave it out by -m 'not needs_root'", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def _places_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the machine's own directories from functions that a test calls in this process."""
    base = tmp_path_factory.mktemp("in-process")
    for name in ("BUILD", "CACHE", "STATE", "WRAPPER"):
        os.environ[f"FLATCAR_PREFIX_{name}_DIR"] = str(base / name.lower())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without a prefix, for one test."""
    return Machine(tmp_path / "machine")


@pytest.fixture(scope="session")
def shared_machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that tests share; each test uses its own names."""
    return Machine(tmp_path_factory.mktemp("shared") / "machine")


@pytest.fixture(scope="session")
def overlay(shared_machine: Machine) -> Overlay:
    """The overlay of the shared prefixes, for the packages of all tests."""
    return Overlay(shared_machine.base / "overlay", "test-overlay")


@pytest.fixture(scope="session")
def empty_prefix(shared_machine: Machine, overlay: Overlay) -> InUse:
    """A prefix without a C library (``--bootstrap=none``), for tests that do not link."""
    return shared_machine.setup("empty", f"--custom_ebuild_overlays={overlay.path}")


@pytest.fixture(scope="session")
def imported_prefix(shared_machine: Machine, overlay: Overlay) -> InUse:
    """A prefix with a C library (``--bootstrap=import``); its set-up takes half a minute.

    Tests install only packages whose names no other test uses, and change nothing else.
    """
    return shared_machine.setup(
        "imported", "--bootstrap=import", f"--custom_ebuild_overlays={overlay.path}"
    )
