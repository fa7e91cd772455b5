# SPDX-License-Identifier: BSD-3-Clause
"""docs/api.md has every name that ``import flatcar_prefix`` provides, with its parameters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import flatcar_prefix as fp

TEXT = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text(encoding="utf-8")
FUNCTIONS = [name for name in fp.__all__ if inspect.isfunction(getattr(fp, name))]


def documented(name: str) -> list[str]:
    """Return the parameters of the signature in the document."""
    match = re.search(rf"^fp\.{name}\((.*?)\)$", TEXT, re.MULTILINE | re.DOTALL)
    assert match is not None, f"docs/api.md has no signature of {name}"
    return [word.strip() for word in match[1].split(",") if word.strip()]


def spelled(name: str) -> list[str]:
    """Return the parameters as a signature spells them, without types and defaults."""
    words = []
    for parameter in inspect.signature(getattr(fp, name)).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not any(w[0] == "*" for w in words):
            words.append("*")
        stars = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}
        words.append(stars.get(parameter.kind, "") + parameter.name)
    return words


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "list_prefixes"])
def test_the_signature_of_a_function_is_documented(name: str) -> None:
    assert documented(name) == spelled(name)


@pytest.mark.parametrize("name", [name for name in fp.__all__ if name != "__version__"])
def test_each_public_name_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", TEXT), name
