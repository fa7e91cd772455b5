# SPDX-License-Identifier: BSD-3-Clause
"""``portageq`` for a prefix: Portage's own, with the root argument as on a Gentoo machine.

There the root is ``/``; here portageq wants ROOT and EPREFIX together, and paths of files
below that. So ``/``, the prefix's own path and a root that was left out become that, and
paths on the target become paths in the root. Which sub-commands take a root is what
portageq itself says.
"""

from __future__ import annotations

import argparse
import locale
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from flatcar_prefix.portage_api import packages

WITH_PATHS = ("owners", "is_protected")
"""Sub-commands whose arguments behind the root are files."""

WITH_NAMES = ("owners",)
"""Those to which a name without a slash is a file's in any directory."""

WITH_PATHS_IN = ("filter_protected",)
"""Sub-commands that read files' paths from their input, and print some again."""


def script_path() -> Path:
    """Return where Portage's own program is."""
    import portage

    return Path(portage.const.PORTAGE_BIN_PATH) / "portageq"


def load(path: Path) -> ModuleType:
    """Return Portage's own program as a module: its functions, and nothing run."""
    module = ModuleType("portageq")
    module.__file__ = os.fspath(path)
    exec(compile(path.read_bytes(), os.fspath(path), "exec"), module.__dict__)
    # It lists the functions of the program that is being run, which is this one.
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
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt as error:
        number = getattr(error, "signum", signal.SIGINT)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        return 128 + int(number)


def _correct_owners(program: ModuleType, eprefix: str) -> None:
    """Have ``owners`` print whole paths.

    Portage's takes the files that its database names from EROOT on for files from ROOT on.
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
    """Return the sub-command and its place in ``argv``, told apart by portageq's own parser.

    The name is empty for a query of packages.
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
    """Return ``argv`` with its root argument and its paths as portageq wants them."""
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
    """Return ``path`` from the root directory on, in its shortest spelling."""
    # POSIX lets two slashes at the beginning stand.
    return "/" + os.path.normpath(os.path.join(_here(), path)).lstrip("/")


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"  # Portage says so itself.


def _is_own_root(name: str, rest: Sequence[str], *, eroot: str, eprefix: str) -> bool:
    """Return whether the first argument is this prefix's root, and not the prefix as a file."""
    alone = name in WITH_PATHS and len(rest) == 1 and _normal(rest[0]) == eprefix
    return is_root(rest[0], eroot=eroot, eprefix=eprefix) and not alone


def _is_other_root(name: str, rest: Sequence[str], eprefix: str) -> bool:
    """Return whether the first argument is a root for portageq to judge, not a file."""
    if name not in WITH_PATHS:
        return True
    return os.path.normpath(rest[0]).endswith(eprefix) and len(rest) > 1


def in_root(path: str, *, eroot: str, eprefix: str) -> str:
    """Return where a path of the target lies in the root; any other path unchanged.

    A relative path begins where the caller is, as for Portage.
    """
    normal = _normal(path)
    if normal == eroot or normal.startswith(f"{eroot}/"):
        return normal
    if normal == eprefix or normal.startswith(f"{eprefix}/"):
        return eroot + normal[len(eprefix) :]
    return path


class _Lines:
    """Portageq's input, with each path where it lies in the root."""

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
    """Portageq's output, with each path as it was given."""

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


def in_utf8() -> None:
    """Start again where text is not UTF-8, as portageq does, but with this command line."""
    if locale.getpreferredencoding(False).lower().replace("-", "") != "utf8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    in_utf8()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    code = main(sys.argv[1:], os.environ)
    sys.stdout.flush()
    sys.exit(code)
