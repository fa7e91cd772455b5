# SPDX-License-Identifier: BSD-3-Clause
"""Command lines: the options of a query, their parser, and help texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flatcar_prefix.equery.errors import BadOption
from flatcar_prefix.equery.output import Screen

_COLUMN = 25


class Option(NamedTuple):
    """One option; `value` names its argument. Compatibility options have an empty `help`."""

    name: str
    short: str = ""
    help: str = ""
    value: str = ""


HELP = Option("help", "h", "display this help message")


class Given(dict[str, list[str]]):
    """The options of one call by long name, each with its arguments."""

    def last(self, name: str) -> str | None:
        return self[name][-1] if name in self else None


def parse(options: Sequence[Option], args: Sequence[str]) -> tuple[Given, list[str]]:
    """Return the options and operands, parsed with `getopt.gnu_getopt`.

    Raise `BadOption` if getopt rejects the arguments.
    """
    from getopt import GetoptError, gnu_getopt

    short = "".join(o.short + (":" if o.value else "") for o in options if o.short)
    long = [o.name + ("=" if o.value else "") for o in options]
    try:
        found, operands = gnu_getopt(list(args), short, long)
    except GetoptError as error:
        raise BadOption(f"Module {error}") from error
    names = {f"-{o.short}": o.name for o in options if o.short}
    given = Given()
    for flag, argument in found:
        given.setdefault(names.get(flag, flag[2:]), []).append(argument)
    return given, operands


def number(given: Given, name: str) -> int | None:
    """Return the option's argument as a number, or None without the option.

    Raise `BadOption` if the argument is not a number.
    """
    text = given.last(name)
    if text is None:
        return None
    if not text.isdigit():
        raise BadOption(f"Module option --{name} requires integer (got '{text}')")
    return int(text)


def describe(rows: Sequence[tuple[str, str]], screen: Screen) -> str:
    """Return a help text with two columns."""
    return "\n".join(
        screen.fill(text, screen.emph(left.ljust(_COLUMN)), " " * _COLUMN) for left, text in rows
    )


def help_rows(options: Sequence[Option]) -> list[tuple[str, str]]:
    rows = []
    for option in options:
        if not option.help:
            continue
        lead = f" -{option.short}, " if option.short else "     "
        value = f"={option.value}" if option.value else ""
        rows.append((f"{lead}--{option.name}{value}", option.help))
    return rows
