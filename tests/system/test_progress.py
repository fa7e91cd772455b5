# SPDX-License-Identifier: BSD-3-Clause
"""Progress: a line on a terminal that changes in place, and nothing in a file."""

from __future__ import annotations

import io
import sys

import pytest

from flatcar_prefix.system.progress import StatusLine, TerminalProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def xterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")


def test_a_line_waits_and_goes_away() -> None:
    stream = Terminal()
    line = StatusLine(stream, patience=60)
    line.show("12 files")
    line.clear()
    assert stream.getvalue() == ""
    with StatusLine(stream) as line:
        line.show("12 files, 3 ELF")
        assert "12 files, 3 ELF" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_line_does_not_change_too_often() -> None:
    stream = Terminal()
    line = StatusLine(stream, every=60)
    line.show("first")
    line.show("second")
    assert "first" in stream.getvalue()
    assert "second" not in stream.getvalue()


def test_a_line_is_cut_to_the_width_of_the_terminal() -> None:
    stream = Terminal()
    StatusLine(stream).show("x" * 100)
    assert stream.getvalue().count("x") == 36


def test_a_file_gets_nothing() -> None:
    stream = io.StringIO()
    with StatusLine(stream) as line:
        line.show("12 files")
        assert not line.is_possible
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("terminal", "options", "shown", "replaces"),
    [
        (True, {}, " * package\ncc\n", True),
        (True, {"verbose": True}, " * package\ncc\n", False),
        (True, {"quiet": True}, "", True),
        (False, {}, "cc\n", False),
        (False, {"verbose": True}, "cc\n", False),
        (False, {"quiet": True}, "", True),
    ],
)
def test_packages_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    options: dict[str, bool],
    shown: str,
    replaces: bool,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    progress = TerminalProgress(**options)
    progress.package("package")
    progress.output("cc")
    assert stream.getvalue() == shown
    assert progress.replaces_emerge is replaces
