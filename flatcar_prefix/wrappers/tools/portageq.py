# SPDX-License-Identifier: BSD-3-Clause
"""``portageq`` for a prefix: Portage's own program, with arguments as on a Gentoo machine.

On a Gentoo machine the root argument is ``/``. For a prefix, portageq needs EROOT, and paths
of files below it. This module replaces ``/``, the prefix's own path and an omitted root with
EROOT, and paths on the target with paths in the root. portageq itself declares which
sub-commands have a root argument.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from flatcar_prefix import environ
from flatcar_prefix.portage_api import packages
from flatcar_prefix.system import entry

WITH_PATHS = ("owners", "is_protected")
"""Sub-commands whose arguments after the root are files."""

WITH_NAMES = ("owners",)
"""Sub-commands that look a name without a slash up in all directories."""

WITH_PATHS_IN = ("filter_protected",)
"""Sub-commands that read paths from their input and print some of them."""


def script_path() -> Path:
    """Return the path of Portage's own program."""
    import portage

    return Path(portage.const.PORTAGE_BIN_PATH) / "portageq"


def load(path: Path) -> ModuleType:
    """Return Portage's own program as a module, without running a sub-command."""
    module = ModuleType("portageq")
    module.__file__ = os.fspath(path)
    exec(compile(path.read_bytes(), os.fspath(path), "exec"), module.__dict__)
    # portageq lists the functions of ``__main__``, which is this module.
    module.commands = sorted(module.docstrings)  # type: ignore[attr-defined]
    return module


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run portageq with ``argv`` for the root that ``environ`` points at."""
    program = load(script_path())
    eprefix = environ["EPREFIX"]
    eroot = os.path.normpath(environ["ROOT"] + eprefix)
    _correct_owners(program, eprefix)
    try:
        words = rewritten(argv, program, eroot=eroot, eprefix=eprefix)
        if _split(argv, program)[0] in WITH_PATHS_IN:
            _translate_streams(eroot, eprefix)
        return int(program.main(["portageq", *words]) or 0)
    finally:
        sys.stdout.flush()


def _correct_owners(program: ModuleType, eprefix: str) -> None:
    """Make ``owners`` print complete paths.

    Portage's own function treats paths relative to EROOT as paths relative to ROOT.
    """
    original = program.owners

    def owners(argv: list[str]) -> int:
        if argv:
            database = packages.owners_database(program.portage.db[argv[0]]["vartree"].dbapi)
            found = database.get_owners
            database.get_owners = lambda files: {
                package: {_from_root(path, eprefix) for path in paths}
                for package, paths in found(files).items()
            }
            argv = _with_itself(argv, program.portage.db)
        return int(original(argv) or 0)

    owners.__dict__.update(original.__dict__)
    program.owners = owners  # type: ignore[attr-defined]


def _with_itself(argv: list[str], trees: Any) -> list[str]:
    """Allow the prefix directory itself to be queried as a file."""
    bare = argv[0].rstrip("/")
    if bare not in argv[1:]:
        return argv
    trees[bare] = trees[argv[0]]
    return [bare, *argv[1:]]


def _from_root(path: str, eprefix: str) -> str:
    path = "/" + path.lstrip("/")
    return path if path.startswith(f"{eprefix}/") else eprefix + path


def _split(argv: Sequence[str], program: ModuleType) -> tuple[str, int]:
    """Return the sub-command and its index in ``argv``, as portageq's own parser finds them.

    The name is empty for a package query.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    program.add_pquery_arguments(parser)
    _options, args = parser.parse_known_args(list(argv))
    if not args or args[0] not in program.commands:
        return "", 0
    return args[0], list(argv).index(args[0])


def rewritten(argv: Sequence[str], program: ModuleType, *, eroot: str, eprefix: str) -> list[str]:
    """Return ``argv`` with the root argument and the paths that portageq needs."""
    words = list(argv)
    name, place = _split(argv, program)
    if not name or not getattr(getattr(program, name), "uses_eroot", False):
        return words
    rest = words[place + 1 :]
    if rest and _is_own_root(name, rest, eroot=eroot, eprefix=eprefix):
        rest[0] = eroot
    elif not (rest and rest[0].startswith("/") and _is_other_root(name, rest, eprefix)):
        rest.insert(0, eroot)
    if name in WITH_PATHS:
        rest[1:] = [
            path
            if name in WITH_NAMES and "/" not in path
            else in_root(path, eroot=eroot, eprefix=eprefix)
            for path in rest[1:]
        ]
    return [*words[: place + 1], *rest]


def is_root(word: str, *, eroot: str, eprefix: str) -> bool:
    """Return whether ``word`` means this prefix's root: ``/``, EPREFIX, ROOT or EROOT."""
    if not word.startswith("/"):
        return False
    return _normal(word) in ("/", eroot, eprefix, eroot[: -len(eprefix)])


def _normal(path: str) -> str:
    """Return the absolute and normalised path."""
    # normpath keeps two leading slashes, as POSIX permits.
    return "/" + os.path.normpath(os.path.join(_here(), path)).lstrip("/")


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"  # Portage itself reports a deleted working directory.


def _is_own_root(name: str, rest: Sequence[str], *, eroot: str, eprefix: str) -> bool:
    """Return whether the first argument is this prefix's root, and not the prefix as a file."""
    alone = name in WITH_PATHS and len(rest) == 1 and _normal(rest[0]) == eprefix
    return is_root(rest[0], eroot=eroot, eprefix=eprefix) and not alone


def _is_other_root(name: str, rest: Sequence[str], eprefix: str) -> bool:
    """Return whether the first argument is another root, which portageq checks, not a file."""
    if name not in WITH_PATHS:
        return True
    return os.path.normpath(rest[0]).endswith(eprefix) and len(rest) > 1


def in_root(path: str, *, eroot: str, eprefix: str) -> str:
    """Return the path in the root of a path on the target; return any other path unchanged.

    A relative path starts at the current directory, as in Portage.
    """
    normal = _normal(path)
    if normal == eroot or normal.startswith(f"{eroot}/"):
        return normal
    if normal == eprefix or normal.startswith(f"{eprefix}/"):
        return eroot + normal[len(eprefix) :]
    return path


class _Lines:
    """portageq's input, with paths in the root in place of paths on the target."""

    def __init__(self, eroot: str, eprefix: str, given: dict[str, str]) -> None:
        self._eroot, self._eprefix, self._given = eroot, eprefix, given
        self._stream = sys.stdin

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        path = next(self._stream).rstrip("\n")
        translated = in_root(path, eroot=self._eroot, eprefix=self._eprefix)
        self._given[translated] = path
        return f"{translated}\n"


class _Out:
    """portageq's output, with the original paths of the input."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._stream = sys.stdout

    def write(self, text: str) -> int:
        path = text.rstrip("\n")
        return self._stream.write(self._given.get(path, path) + text[len(path) :])

    def flush(self) -> None:
        self._stream.flush()


def _translate_streams(eroot: str, eprefix: str) -> None:
    given: dict[str, str] = {}
    sys.stdin = _Lines(eroot, eprefix, given)
    sys.stdout = _Out(given)


def run() -> int:
    """Run the process's command line and return the exit code."""
    entry.in_utf8()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return entry.run(
        lambda: main(sys.argv[1:], environ.variables()),
        program="portageq",
        on_interrupt=lambda _number: None,
        portage_codes=True,
    )


if __name__ == "__main__":
    sys.exit(run())
