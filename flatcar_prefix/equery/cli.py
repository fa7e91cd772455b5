# SPDX-License-Identifier: BSD-3-Clause
"""The global options, and the selection of the query's module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, TextIO

from flatcar_prefix.equery.arguments import HELP, describe, help_rows, parse
from flatcar_prefix.equery.errors import BadOption, QueryError
from flatcar_prefix.equery.output import Screen
from flatcar_prefix.equery.root import Target
from flatcar_prefix.equery.session import Session

# The name, the short name, their form in the overview, and the description.
QUERIES = (
    ("belongs", "b", "(b)elongs", "list the packages that own FILES"),
    ("changes", "c", "(c)hanges", "show the changes of PKG from its ChangeLog or git history"),
    ("check", "k", "chec(k)", "compare the files of PKG with the VDB"),
    ("depends", "d", "(d)epends", "list the packages that depend on ATOM"),
    ("depgraph", "g", "dep(g)raph", "show the dependency tree of PKG"),
    ("files", "f", "(f)iles", "list the files that PKG installed"),
    ("has", "a", "h(a)s", "list the packages that have a value in the metadata KEY"),
    ("hasuse", "h", "(h)asuse", "list the packages that have a USE flag"),
    ("keywords", "y", "ke(y)words", "show the keywords of PKG by version and architecture"),
    ("list", "l", "(l)ist", "list the packages that match PKG"),
    ("meta", "m", "(m)eta", "show the metadata of PKG: maintainers, upstream, keywords"),
    ("size", "s", "(s)ize", "show the size of the files of PKG"),
    ("uses", "u", "(u)ses", "show the USE flags of PKG, set and unset"),
    ("which", "w", "(w)hich", "print the path of the ebuild that Portage selects for PKG"),
)


_NAMES = {word: name for name, letter, *_ in QUERIES for word in (name, letter)}


_SUMMARY = "equery answers questions about the packages, files and USE flags of a prefix."


_GLOBAL_ROWS = (
    (" -h, --help", "display this help message"),
    (" -q, --quiet", "minimal output"),
    (" -C, --no-color", "turn off colors"),
    (" -N, --no-pipe", "turn off pipe detection"),
    (" -V, --version", "display version info"),
)


class _Leave(Exception):
    """The query ends early; the argument is the exit code."""


def run(argv: Sequence[str], *, env: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> int:
    """See `flatcar_prefix.equery.main`."""
    screen = Screen(stdout, stderr, env)
    try:
        name, args = _read_global(argv, screen)
        with Target(env) as target:
            screen.use_color_map(target.config_root)
            return _answer(name, args, Session(target, screen, env))
    except _Leave as leave:
        return int(leave.args[0])
    except QueryError as error:
        # An empty text is an exit code alone: nothing was found.
        if screen.debug and str(error):
            raise
        if str(error):
            screen.error(str(error))
        if error.serious:
            screen.out("\nAdd '--debug' to global options for traceback.")
        return error.exit_code
    finally:
        stdout.flush()


def _read_global(argv: Sequence[str], screen: Screen) -> tuple[str, list[str]]:
    """Return the query's long name and its arguments; apply the global options to `screen`."""
    from getopt import GetoptError, getopt

    long = ["help", "quiet", "nocolor", "no-color", "no-pipe", "version", "debug"]
    try:
        found, args = getopt(list(argv), "hqCNV", long)
    except GetoptError as error:
        _misused(screen, f"Global {error}")
    flags = {flag for flag, _ in found}
    screen.quiet = bool(flags & {"-q", "--quiet"})
    screen.debug |= "--debug" in flags
    if flags & {"-N", "--no-pipe"}:
        screen.piping = False
    if screen.piping or flags & {"-C", "--no-color", "--nocolor"}:
        screen.color = False
    if flags & {"-V", "--version"}:
        _print_version(screen)
        raise _Leave(0)
    wants_help = bool(flags & {"-h", "--help"})
    if not args:
        _print_overview(screen)
        raise _Leave(0 if wants_help else 2)
    if args[0] not in _NAMES:
        _misused(screen, f"Unknown module '{args[0]}'")
    return _NAMES[args[0]], [*args[1:], *(["--help"] if wants_help else [])]


def _answer(name: str, args: list[str], session: Session) -> int:
    module = import_module(f"flatcar_prefix.equery.queries.{name}")
    screen = session.screen
    if hasattr(module, "main"):
        return int(module.main(args, session))
    try:
        given, operands = parse((HELP, *module.OPTIONS), args)
        if "help" in given:
            _print_help(module, name, screen)
            return 0
        if not operands:
            _print_help(module, name, screen)
            return 2
        return int(module.run(given, operands, session))
    except BadOption as error:
        screen.error(str(error))
        screen.out()
        _print_help(module, name, screen, with_description=False)
        return error.exit_code


def _misused(screen: Screen, message: str) -> None:
    screen.error(message)
    _print_overview(screen, with_description=False)
    raise _Leave(2)


def _print_version(screen: Screen) -> None:
    from flatcar_prefix.version import __version__

    screen.out(f"{screen.section('equery')} (flatcar-prefix {__version__}) - {_SUMMARY}")


def _print_overview(screen: Screen, *, with_description: bool = True) -> None:
    if with_description:
        screen.out(_SUMMARY)
    screen.out(
        f"{screen.emph('Usage:')} {screen.section('equery')} "
        f"[{screen.paint('yellow', 'global-options')}] {screen.command('module-name')} "
        f"[{screen.cpv('module-options')}]"
    )
    screen.out()
    screen.out(screen.paint("yellow", "global options"))
    screen.out(describe(_GLOBAL_ROWS, screen))
    screen.out()
    screen.out(f"{screen.command('modules')} ({screen.command('short name')})")
    screen.out(describe([(f" {shown}", text) for _, _, shown, text in QUERIES], screen))


def _print_help(module: Any, name: str, screen: Screen, *, with_description: bool = True) -> None:
    if with_description:
        screen.out(module.__doc__.strip())
        screen.out()
    screen.out(
        f"{screen.emph('Usage')}: {screen.command(name)} [{screen.cpv('options')}] "
        f"{screen.emph(getattr(module, 'OPERAND', 'pkgspec'))}"
    )
    screen.out()
    screen.out(screen.command("options"))
    screen.out(describe(help_rows((HELP, *module.OPTIONS)), screen))
    for line in getattr(module, "HELP_NOTES", ()):
        screen.out(" " * 25 + line)


__all__ = ["QUERIES", "run"]
