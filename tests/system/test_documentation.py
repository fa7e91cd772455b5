# SPDX-License-Identifier: BSD-3-Clause
"""Messages name pages by paths that exist, also without a checkout."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from machine import CHECKOUT

from flatcar_prefix.system.places import documentation

SOURCES = sorted((CHECKOUT / "flatcar_prefix").rglob("*.py"))


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module that are not docstrings."""
    own_line = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in own_line:
            yield node.value  # type: ignore[attr-defined]


def test_no_message_names_a_page_of_the_checkout() -> None:
    template = CHECKOUT / "flatcar_prefix/recipe/template.py"  # users share the recipe it writes
    for file in SOURCES:
        for text in texts(ast.parse(file.read_text(encoding="utf-8"))):
            assert file == template or not re.search(r"docs/[\w-]+\.md|README", text), (file, text)


def test_each_named_page_exists_and_is_installed() -> None:
    pages = {
        page
        for file in SOURCES
        for page in re.findall(r"documentation\(['\"]([^'\"]+)", file.read_text(encoding="utf-8"))
    }
    assert len(pages) >= 3
    for page in pages:
        assert Path(documentation(page)).is_file()
    assert '"docs"' in (CHECKOUT / "setup.py").read_text(encoding="utf-8").split("class ")[0]
