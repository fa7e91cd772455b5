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
from importlib import import_module
from types import ModuleType

from flatcar_prefix import cli
from flatcar_prefix.cli.parser import Parser
from flatcar_prefix.errors import PrefixError, of_system
from flatcar_prefix.system import messages, stdio, sudo
from flatcar_prefix.version import __version__

NOT_VERBS = ("main", "parser")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``flatcar-prefix`` with ``argv`` (default: the process's) and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in words if not word.startswith("-")), None)
    return _guarded(lambda: _run(flatcar_prefix_parser(verb), words))


def setup_prefix(argv: Sequence[str] | None = None) -> int:
    """Run ``setup_prefix``, the shell version's command, and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return _guarded(lambda: _run(setup_prefix_parser(), words, prepend=["setup"]))


def verbs() -> list[str]:
    """Return the names of all verbs."""
    names = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return sorted(name for name in names if name not in NOT_VERBS)


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
    parser.set_defaults(verb=module)


def setup_prefix_parser() -> Parser:
    """Return the parser of ``setup_prefix``, which has the arguments of the verb ``setup``."""
    module = _load("setup")
    parser = Parser(prog="setup_prefix", description=module.DESCRIPTION)
    module.add_arguments(parser)
    parser.set_defaults(verb=module)
    return parser


def _load(name: str) -> ModuleType:
    return import_module(f"{cli.__name__}.{name}")


def _run(parser: Parser, words: list[str], *, prepend: Sequence[str] = ()) -> int:
    args = parser.parse_args(words)
    changes = getattr(args.verb, "changes", None)
    if changes is not None and changes(args):
        sudo.become_root([*prepend, *words])
    return int(args.verb.run(args))


def _guarded(work: Callable[[], int]) -> int:
    """Return the exit code of ``work``; report its exceptions."""
    stdio.complete()
    messages.flush_each_line()
    try:
        return _finished(work)
    except PrefixError as error:
        return messages.report(error)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    except OSError as error:
        return messages.report(of_system(error))


def _finished(work: Callable[[], int]) -> int:
    """Return the exit code of ``work`` after flushing its output."""
    try:
        return work()
    finally:
        stdio.flush()
