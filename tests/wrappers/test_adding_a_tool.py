# SPDX-License-Identifier: BSD-3-Clause
"""The unmodified example of docs/adding-a-tool.md."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from machine import Machine
from tooling import declare

from flatcar_prefix.wrappers import declaration

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "adding-a-tool.md").read_text()


def block(language: str) -> str:
    match = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert match
    return match[1]


@pytest.mark.needs_namespaces
def test_the_example_does_what_the_page_says(open_dir: Path) -> None:
    machine = Machine(open_dir / "machine")
    prefix = machine.setup("my-stuff")
    assert prefix.eprefix == "/usr/local/my-stuff"
    name = re.search(r"wrappers\.d/(\S+)\.conf`", PAGE)
    assert name
    path = declare(machine, name[1], block("ini"))
    bin_path = f"{machine.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for part in block("console").split("$ ")[1:]:
        command, _, wanted = part.partition("\n")
        said = machine.ok(*shlex.split(f"env {command}"), env={"PATH": bin_path}).stdout
        said = said.replace(str(machine.bin), "/usr/local/bin")
        shown, cut, _ = wanted.partition("...\n")
        assert (
            said.startswith(shown)
            if cut
            else sorted(said.splitlines()) == sorted(shown.splitlines())
        )
    path.unlink()
    assert machine.fp("wrappers", "my-stuff").returncode == 0
    assert not list(machine.bin.glob("find-prefix-*"))


def test_the_page_names_each_key_and_each_placeholder() -> None:
    for key in declaration.KEYS:
        assert f"| `{key}` |" in PAGE
    for placeholder in declaration.PLACEHOLDERS:
        assert f"`{{{placeholder}}}`" in PAGE
    for entry in declaration.ENTRIES:
        assert f"*{entry}*" in PAGE
