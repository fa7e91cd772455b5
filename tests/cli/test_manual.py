# SPDX-License-Identifier: BSD-3-Clause
"""The manual pages: complete, and rendered without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from machine import CHECKOUT

from flatcar_prefix.cli.main import setup_prefix_parser, verbs

PAGES = ("setup_prefix.1", "flatcar-prefix.1", "flatcar-prefix-wrappers.7")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, CHECKOUT / "man/generate.py", directory], check=True)
    assert {path.name for path in directory.iterdir()} == set(PAGES)
    return directory


def rendered(page: Path, width: int = 78) -> str:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-cbou", f"-rLL={width}n", page],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("width", [78, 120])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_renders_without_a_warning(pages: Path, name: str, width: int) -> None:
    text = rendered(pages / name, width)
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "FILES", "SEE ALSO"):
        assert re.search(f"^{heading}$", text, re.MULTILINE), heading


def test_the_page_of_setup_prefix_has_every_flag(pages: Path) -> None:
    text = rendered(pages / "setup_prefix.1")
    for action in setup_prefix_parser()._actions:
        if action.help != "==SUPPRESS==" and action.dest != "help":
            assert (action.option_strings or [action.metavar])[0] in text


def test_the_page_of_flatcar_prefix_has_every_verb(pages: Path) -> None:
    text = rendered(pages / "flatcar-prefix.1")
    for verb in verbs():
        assert f"flatcar-prefix {verb}" in text
