# SPDX-License-Identifier: BSD-3-Clause
"""A program whose interpreter or loader is missing is refused with the name of what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from flatcar_prefix.sandbox.interpreter import interpreter
from flatcar_prefix.sandbox.place import NotExecutableError, Place, find_program

EPREFIX = "/opt/thing"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    prefix = SimpleNamespace(eprefix=EPREFIX, name="thing")
    eroot = tmp_path / "root" / EPREFIX.lstrip("/")
    (eroot / "bin").mkdir(parents=True)
    return Place(SimpleNamespace(prefix=prefix, eroot=eroot))  # type: ignore[arg-type]


def program(place: Place, content: bytes) -> Path:
    file = place.root.eroot / "bin/prog"
    file.write_bytes(content)
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        (b"#!/usr/bin/env python3\n", "/usr/bin/env"),
        (b"#! /opt/thing/bin/dash -e\n", "/opt/thing/bin/dash"),
        (b"#!/opt/thing/bin/dash", "/opt/thing/bin/dash"),
    ],
)
def test_a_missing_interpreter_is_named(place: Place, line: bytes, missing: str) -> None:
    program(place, line + b"\ntrue\n")
    with pytest.raises(NotExecutableError, match=f"bin/prog needs {missing}, which does") as raised:
        find_program(place, "prog")
    assert raised.value.exit_code == 126
    inside = missing.startswith(EPREFIX)
    assert ("Install the package" if inside else f"--bind {missing}") in raised.value.hint


def test_a_missing_loader_is_named(place: Place) -> None:
    source = "int main(void) { return 0; }"
    loader = f"{EPREFIX}/lib64/ld-linux-x86-64.so.2"
    binary = place.root.eroot / "bin/prog"
    command = ["gcc", "-x", "c", "-", "-o", binary, f"-Wl,--dynamic-linker={loader}"]
    subprocess.run(command, input=source, text=True, check=True)
    assert interpreter(binary) == loader
    with pytest.raises(NotExecutableError, match=loader):
        find_program(place, "prog")
    (place.root.eroot / "lib64").mkdir()
    (place.root.eroot / "lib64/ld-linux-x86-64.so.2").touch()
    assert find_program(place, "prog") == f"{EPREFIX}/bin/prog"


@pytest.mark.parametrize("content", [b"", b"#!", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 60])
def test_a_file_that_names_none_is_left_to_the_kernel(place: Place, content: bytes) -> None:
    assert interpreter(program(place, content)) == ""
    assert find_program(place, "prog") == f"{EPREFIX}/bin/prog"


def test_the_loader_is_the_one_that_file_reports() -> None:
    described = subprocess.run(["file", "-L", sys.executable], capture_output=True, text=True)
    assert interpreter(Path(sys.executable)) in described.stdout
