# SPDX-License-Identifier: BSD-3-Clause
"""Parts of command lines that verbs share."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from flatcar_prefix.errors import UsageError
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix


class Parser(argparse.ArgumentParser):
    """An argument parser that raises :class:`UsageError` and knows no abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"See {self.prog} --help.")

    def _parse_optional(self, arg_string: str) -> Any:
        """Look an option up with dashes in place of the underscores in its name.

        Only the parser can distinguish this program's options from those of a program to run.
        """
        name, equals, value = arg_string.partition("=")
        if name.startswith("--"):
            arg_string = name.replace("_", "-") + equals + value
        return super()._parse_optional(arg_string)


def boolean_flag(parser: argparse.ArgumentParser, name: str, help_text: str) -> None:
    """Add ``--name`` and ``--noname``, as the shell version spells booleans."""
    parser.add_argument(f"--{name}", action="store_true", default=False, help=help_text)
    parser.add_argument(
        f"--no{name}", dest=name, action="store_false", default=False, help=argparse.SUPPRESS
    )


def prefix_arguments(
    parser: argparse.ArgumentParser,
    *,
    optional: bool = False,
    help_text: str = "the prefix, or its staging directory",
) -> None:
    """Add the arguments that name a prefix: ``<name>`` and ``--board``."""
    nargs = "?" if optional else None
    parser.add_argument("name", metavar="<name>", nargs=nargs, help=help_text)
    parser.add_argument("--board", help="board of the prefix")


def named_prefix(args: argparse.Namespace) -> Prefix:
    """Return the prefix that :func:`prefix_arguments` names."""
    return registry.load(args.name, board=args.board)
