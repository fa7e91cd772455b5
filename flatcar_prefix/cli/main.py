# SPDX-License-Identifier: BSD-3-Clause
"""``setup_prefix`` and ``flatcar-prefix``: find the verb, run it, report errors.

Each other module of this package except :mod:`~flatcar_prefix.cli.parser` is a verb. A verb
has ``HELP``, one line; ``add_arguments(parser)``; and ``run(args)``, which returns the exit
code. A verb that writes to a prefix, which needs root in the SDK container, also has
``changes(args)``.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from flatcar_prefix import cli
from flatcar_prefix.cli.parser import Parser
from flatcar_prefix.system import entry, sudo
from flatcar_prefix.version import __version__

NOT_VERBS = ("main", "parser")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``flatcar-prefix`` with ``argv`` (default: the process's) and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in words if not word.startswith("-")), None)
    return _Command("flatcar-prefix", lambda: flatcar_prefix_parser(verb), words).run()


def setup_prefix(argv: Sequence[str] | None = None) -> int:
    """Run ``setup_prefix``, the shell version's command, and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return _Command("setup_prefix", setup_prefix_parser, words, prepend=["setup"]).run()


def verbs() -> list[str]:
    """Return the names of all verbs."""
    names = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return sorted(name.replace("_", "-") for name in names if name not in NOT_VERBS)


def flatcar_prefix_parser(verb: str | None = None) -> Parser:
    """Return the parser of ``flatcar-prefix``.

    It loads ``verb`` only, with its arguments; without one, it loads all verbs.
    """
    parser = Parser(
        prog="flatcar-prefix",
        description="Prefix builds: portable software for Flatcar, made with Portage.",
    )
    parser.add_argument("--version", action="version", version=f"flatcar-prefix {__version__}")
    subparsers = parser.add_subparsers(metavar="<verb>", required=True, parser_class=Parser)
    for name in verbs():
        if verb in (None, name):
            _add_verb(subparsers, name)
        else:
            subparsers.add_parser(name)
    return parser


def _add_verb(subparsers: argparse._SubParsersAction[Parser], name: str) -> None:
    module = _load(name)
    description = module.HELP[0].upper() + module.HELP[1:] + "."
    parser = subparsers.add_parser(name, help=module.HELP, description=description)
    module.add_arguments(parser)
    parser.set_defaults(verb=module, parser=parser)


def setup_prefix_parser() -> Parser:
    """Return the parser of ``setup_prefix``, which has the arguments of the verb ``setup``."""
    module = _load("setup")
    parser = Parser(prog="setup_prefix", description=module.DESCRIPTION)
    module.add_arguments(parser)
    parser.set_defaults(verb=module)
    return parser


def _load(name: str) -> ModuleType:
    return import_module(f"{cli.__name__}.{name.replace('-', '_')}")


@dataclass
class _Command:
    """A command line, and the parts that are parsed so far."""

    program: str
    parser: Callable[[], Parser]
    words: list[str]
    prepend: Sequence[str] = ()
    """The words that :func:`sudo.become_root` puts before the command line."""
    changes: bool = False
    """Whether the verb writes to a prefix; false until the arguments are known."""

    def run(self) -> int:
        return entry.run(self._work, program=self.program, changes=lambda: self.changes)

    def _work(self) -> int:
        args = self.parser().parse_args(self.words)
        changes = getattr(args.verb, "changes", None)
        if changes is not None and changes(args):
            self.changes = True
            sudo.become_root([*self.prepend, *self.words])
        return int(args.verb.run(args))
