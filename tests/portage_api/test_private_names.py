# SPDX-License-Identifier: BSD-3-Clause
"""Private names of Portage, and all of ``_emerge``, are used in portage_api/ only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "flatcar_prefix"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "portage_api" not in p.parts)


def private_names(tree: ast.AST) -> Iterator[str]:
    """Yield each private name of Portage that a module imports or reads."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "_emerge" or "._" in alias.name:
                    yield alias.name
                if alias.name.split(".")[0] == "portage":
                    imported.add(alias.asname or "portage")
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top = node.module.split(".")[0]
            names = [alias.name for alias in node.names]
            if top == "_emerge" or (top == "portage" and "._" in node.module):
                yield node.module
            elif top == "portage":
                yield from (f"{node.module}.{name}" for name in names if name.startswith("_"))
                imported.update(alias.asname or alias.name for alias in node.names)
    own = {"self", "cls", "super"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr[1] != "_":
            base = node.value
            while isinstance(base, ast.Attribute | ast.Subscript | ast.Call):
                base = base.func if isinstance(base, ast.Call) else base.value
            if isinstance(base, ast.Name) and base.id not in own and base.id in imported:
                yield ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_outside_portage_api_uses_no_private_name(path: Path) -> None:
    assert not list(private_names(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "from _emerge.main import parse_opts",
        "import _emerge.actions",
        "from portage.versions import _pkg_str",
        "from portage._sets import load_default_config",
        "import portage\nportage._sync_mode = True",
        "import portage\ndef f():\n    return portage.create_trees()._target_eroot",
    ],
)
def test_a_private_name_is_found(code: str) -> None:
    assert list(private_names(ast.parse(code)))
