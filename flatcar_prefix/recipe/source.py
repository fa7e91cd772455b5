# SPDX-License-Identifier: BSD-3-Clause
"""The text of a recipe, and the line of each key in it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.errors import PrefixError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KeyPath = tuple[str | int, ...]
"""The keys and indices that lead to a value, from the top of the document."""


class RecipeError(UsageError):
    """A recipe is not valid. The message begins with ``<file>:<line>: <key>:``."""


@dataclass(frozen=True)
class Source:
    """A recipe as it was read."""

    file: Path
    text: str
    document: dict[str, Any]

    def error(self, path: KeyPath, what: str, *, hint: str) -> RecipeError:
        """Return the error for the value at ``path``, or for its absence."""
        where = f"{self.file}:{line_of(self.text, path)}"
        return RecipeError(f"{where}: {spelled(path)}: {what}", hint=hint)


def read(file: Path) -> Source:
    """Read a recipe; raise :class:`PrefixError` if it is not a readable TOML file."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise PrefixError(
            f"{file} cannot be read: {error.strerror}",
            hint="Give the path of a recipe, or write one: flatcar-prefix build --template FILE",
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file} is not UTF-8: {error}", hint="Save it as UTF-8.") from error
    try:
        return Source(file, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(
            f"{file} is not valid TOML: {error}", hint="Correct the file at that line."
        ) from error


def line_of(text: str, path: KeyPath) -> int:
    """Return the number of the line that defines ``path``, or the nearest parent of it.

    A TOML parser does not report lines. The first lines of a document are a valid document if
    they end between two statements. So the key is on the line after the longest such part
    that does not define it.
    """
    while path:
        before = 0
        lines = text.splitlines(keepends=True)
        for number in range(1, len(lines) + 1):
            try:
                document = tomllib.loads("".join(lines[:number]))
            except tomllib.TOMLDecodeError:
                continue
            if _has(document, path):
                return before + 1
            before = number
        path = path[:-1]
    return 1


def _has(document: Any, path: KeyPath) -> bool:
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def spelled(path: KeyPath) -> str:
    """Return a path as text: ``kind in [[software]] 2``, ``format in [image]``."""
    names = [str(step) for step in path if isinstance(step, str)]
    indices = [step for step in path if isinstance(step, int)]
    if len(names) == 1 and indices:
        return f"[[{names[0]}]] {indices[0] + 1}" if len(path) == 2 else names[0]
    if len(names) > 1 and len(path) > 1 and isinstance(path[1], int):
        return f"{'.'.join(names[1:])} in [[{names[0]}]] {path[1] + 1}"
    if len(names) > 1:
        return f"{'.'.join(names[1:])} in [{names[0]}]"
    return names[0] if names else "the recipe"
