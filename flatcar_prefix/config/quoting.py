# SPDX-License-Identifier: BSD-3-Clause
"""Quote values for make.conf, as ``portage.util.getconfig`` reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """Related variables, and a comment that explains them."""

    comment: str
    variables: Mapping[str, str | Sequence[str]]


def quote(value: str) -> str:
    """Return ``value`` so that ``portage.util.getconfig`` reads it back unchanged.

    getconfig splits the file with shlex, then runs ``varexpand`` on each unquoted value.
    The result therefore has two layers of quoting. The inner one escapes backslashes and
    dollars for varexpand, which keeps quotes and does not expand between single quotes. The
    outer one is double quotes for shlex. Raise ``ValueError`` for line ends and NUL, which
    cannot be quoted.
    """
    if any(c in value for c in "\n\r\0"):
        raise ValueError(f"{value!r} cannot be written to make.conf")
    if value == "source":
        # getconfig treats this word as a command, quoted or not. An escaped line end makes
        # it another word, and varexpand removes the line end.
        return '"source\\\\\n"'
    inner = _protect_from_varexpand(value)
    return '"' + inner.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _protect_from_varexpand(value: str) -> str:
    out: list[str] = []
    single = double = after_backslash = False
    for char in value:
        swallowed = after_backslash and char in "'\"$"
        after_backslash = False
        if swallowed or (single and char != "'"):
            out.append(char)
        elif char == "\\":
            out.append("\\\\")
            after_backslash = True
        elif char == "$":
            out.append("\\$")
        else:
            out.append(char)
            single ^= char == "'" and not double
            double ^= char == '"' and not single
    return "".join(out)


def assignments(variables: Mapping[str, str | Sequence[str]]) -> str:
    """Return one line per variable; a sequence becomes one word per line."""
    return "".join(f"{name}={_value(value)}\n" for name, value in variables.items())


def _value(value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return quote(value)
    return '"\n' + "".join(f"\t{quote(word)[1:-1]}\n" for word in value) + '"'
