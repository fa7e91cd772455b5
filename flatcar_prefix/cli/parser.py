# SPDX-License-Identifier: BSD-3-Clause
"""Parts of command lines that verbs share."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from flatcar_prefix.errors import UsageError
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.near import suggestion
from flatcar_prefix.system.progress import TerminalProgress

PREFIX_HELP = "the prefix: its name, its staging directory or its path"


class Parser(argparse.ArgumentParser):
    """An argument parser that raises :class:`UsageError` and knows no abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"See {self.prog} --help.")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the parsed arguments; suggest a flag in place of an unknown one."""
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            parser = getattr(found, "parser", self)
            flags = (flag for flag in parser._option_string_actions if flag.startswith("--"))
            unknown = rest[0].partition("=")[0].replace("_", "-")
            raise UsageError(
                f"unrecognized arguments: {' '.join(rest)}",
                hint=f"{suggestion(unknown, flags)}See {parser.prog} --help.",
            )
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise :class:`UsageError` for a value that is not one of the choices."""
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        what = "verb" if isinstance(action, argparse._SubParsersAction) else _named(action)
        raise UsageError(
            f"unknown {what} {value!r}",
            hint=f"{suggestion(str(value), names)}Choose one of: {', '.join(names)}.",
        )

    def _parse_optional(self, arg_string: str) -> Any:
        """Look an option up with dashes in place of the underscores in its name.

        Only the parser can distinguish this program's options from those of a program to run.
        """
        name, equals, value = arg_string.partition("=")
        if name.startswith("--"):
            arg_string = name.replace("_", "-") + equals + value
        return super()._parse_optional(arg_string)


def _named(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def boolean_flag(parser: argparse.ArgumentParser, name: str, help_text: str) -> None:
    """Add ``--name`` and ``--noname``, as the shell version spells booleans."""
    dest = name.replace("-", "_")
    parser.add_argument(f"--{name}", action="store_true", default=False, help=help_text)
    parser.add_argument(
        f"--no{name}", dest=dest, action="store_false", default=False, help=argparse.SUPPRESS
    )


def comma_separated(text: str) -> list[str]:
    """Return the words of an argument that commas divide."""
    return [word for word in text.split(",") if word]


def prefix_arguments(
    parser: argparse.ArgumentParser,
    *,
    optional: bool = False,
    help_text: str = PREFIX_HELP,
) -> None:
    """Add the arguments that name a prefix: ``<name>`` and ``--board``."""
    nargs = "?" if optional else None
    parser.add_argument("name", metavar="<name>", nargs=nargs, help=help_text)
    parser.add_argument("--board", help="board of the prefix")


def volume_arguments(parser: argparse.ArgumentParser, *, builds: bool = False) -> None:
    """Add ``--quiet`` and ``--verbose``; ``builds`` says whether the verb builds packages."""
    more = " and the output of compilers, for one package after the other" if builds else ""
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument(
        "-q", "--quiet", action="store_true", default=False, help="print warnings and errors only"
    )
    volume.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=False,
        help=f"also print each small action{more}",
    )


def json_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", default=False, help="as JSON")


def progress_of(args: argparse.Namespace) -> TerminalProgress:
    """Return the progress that :func:`volume_arguments` request."""
    quiet = args.quiet or getattr(args, "json", False)
    return TerminalProgress(verbose=args.verbose, quiet=quiet)


def named_prefix(args: argparse.Namespace) -> Prefix:
    """Return the prefix that :func:`prefix_arguments` names."""
    return registry.load(args.name, board=args.board)
