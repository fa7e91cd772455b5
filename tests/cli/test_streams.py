# SPDX-License-Identifier: BSD-3-Clause
"""Output that cannot be written is an error like any other: two lines, and exit code 1."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest
from machine import CHECKOUT

from flatcar_prefix.errors import of_system
from flatcar_prefix.system import entry


def run(redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    script = f'exec "$@" {redirection}'
    argv = [sys.executable, "-m", "flatcar_prefix", *words]
    return subprocess.run(
        ["sh", "-c", script, "sh", *argv], cwd=CHECKOUT, capture_output=True, text=True
    )


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("doctor",)])
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_output_that_nobody_takes_is_told_in_two_lines(
    redirection: str, reason: str, words: tuple[str, ...]
) -> None:
    result = run(redirection, *words)
    assert result.returncode == 1
    what, hint = result.stderr.splitlines()
    assert what == f" * standard output: {reason}"
    assert hint.startswith(" * ")


def test_without_any_stream_the_exit_code_is_what_it_was() -> None:
    assert run("<&- 2>&-", "list").returncode == 0
    assert run("<&- >&- 2>&-", "show", "nothing").returncode == 1


def test_a_reader_that_has_enough_is_no_error() -> None:
    result = run("| true", "list", "--json")
    assert result.stderr == ""


def test_what_the_system_refuses_is_told_with_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/a/file")

    assert entry.run(work, program="trial") == 1
    what, hint = capsys.readouterr().err.splitlines()
    assert what == " * /a/file: Permission denied"
    assert hint.startswith(" * ")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_each_reason_comes_with_what_to_do(number: int) -> None:
    error = of_system(OSError(number, "so it is", "/a/file"), doing="trying")
    assert str(error) == "trying: /a/file: so it is"
    assert error.hint
