# SPDX-License-Identifier: BSD-3-Clause
"""Imports of Python programs that fail at their start, because no file provides the module.

The check reads the imports that a module always runs: those at its top level, outside of
``try`` and ``if``. It starts with the programs, and follows into the modules of packages. The
standard library counts as complete. Programs that change ``sys.path`` are not checked.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.tree import Resolver

_INTERPRETER = re.compile(rb"#!\s*(/\S*/python\d*(?:\.\d+)?)\s")
_VERSION = re.compile(r"/python(\d+\.\d+)\Z")
_LIBRARIES = ("usr/lib", "usr/lib64")
_PROVIDED = frozenset(sys.builtin_module_names) | {"__main__", "__future__"}
_MAX_SOURCE = 1 << 20
_MAX_MODULES = 5000


class _Import(NamedTuple):
    name: str
    """The dotted name of a module."""
    members: tuple[str, ...] = ()
    """Names imported from it, which can be modules, too."""


def is_program(head: bytes) -> bool:
    """Return whether a file is a script with a Python interpreter."""
    return bool(_INTERPRETER.match(head))


def check_imports(resolver: Resolver, programs: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding for each missing module that a program imports at its start.

    ``programs`` are the paths of scripts with a Python interpreter.
    """
    searches: dict[str, _Search] = {}
    for program in sorted(programs):
        source = _read(resolver, program)
        match = _INTERPRETER.match(source)
        interpreter = resolver.resolve(os.fsdecode(match.group(1))) if match else None
        version = _VERSION.search(interpreter.path) if interpreter and interpreter.ok else None
        if version is None:
            continue
        search = searches.setdefault(version.group(1), _Search(resolver, version.group(1)))
        if search.complete and b"sys.path" not in source:
            yield from search.check(program, source)


class _Search:
    """The modules of one version of Python in the prefix."""

    def __init__(self, resolver: Resolver, version: str) -> None:
        self._resolver = resolver
        top = resolver.tree.eprefix
        self._standard = [f"{top}/{lib}/python{version}" for lib in _LIBRARIES]
        self._standard += [f"{path}/lib-dynload" for path in self._standard]
        self._site = [f"{top}/{lib}/python{version}/site-packages" for lib in _LIBRARIES]
        self._names: dict[str, frozenset[str]] = {}
        self._site += [more for site in self._site for more in self._from_pth(site)]
        self.complete = any("os" in self._modules(path) for path in self._standard)
        self._seen: set[str] = set()

    def _from_pth(self, site: str) -> Iterator[str]:
        for name in sorted(self._listing(site)):
            if name.endswith(".pth"):
                for line in os.fsdecode(_read(self._resolver, f"{site}/{name}")).splitlines():
                    if line.strip() and not line.startswith(("#", "import")):
                        yield os.path.normpath(os.path.join(site, line.strip()))

    def _listing(self, directory: str) -> set[str]:
        resolved = self._resolver.resolve(directory)
        tree, names = self._resolver.tree, set()
        for root in (tree.root, *tree.layers) if resolved.ok else ():
            try:
                names.update(os.listdir(os.fspath(root).rstrip("/") + resolved.path))
            except OSError:
                continue
        return {name for name in names if not tree.hidden(f"{resolved.path}/{name}")}

    def _modules(self, directory: str) -> frozenset[str]:
        """Return the names of the modules and directories in a directory."""
        if directory not in self._names:
            listing = self._listing(directory)
            self._names[directory] = frozenset(name.partition(".")[0] for name in listing)
        return self._names[directory]

    def check(self, program: str, source: bytes) -> Iterator[Finding]:
        """Yield findings for a program and the modules that it imports."""
        pending = [(program, "", source)]
        own = os.path.dirname(program)
        while pending and len(self._seen) < _MAX_MODULES:
            path, package, source = pending.pop()
            for each in _imports(source, package):
                places = [own, *self._standard, *self._site]
                lost, found = self._find(each, places)
                if lost:
                    message = f"imports {lost}, which no file of the prefix provides"
                    by = "" if path == program else f" ({program} needs it at its start)"
                    yield Finding("python-module", path, message + by, subject=lost)
                for file, inner in found:
                    if file not in self._seen:
                        self._seen.add(file)
                        pending.append((file, inner, _read(self._resolver, file)))

    def _find(self, each: _Import, places: list[str]) -> tuple[str, list[tuple[str, str]]]:
        """Return the missing name, and the files to follow with their packages."""
        first, *rest = each.name.split(".")
        if first in _PROVIDED or first in sys.stdlib_module_names:
            known = first in _PROVIDED or first.startswith("_")
            there = known or any(first in self._modules(place) for place in places)
            return ("" if there else first), []
        place = next((p for p in places if first in self._modules(p)), None)
        if place is None:
            return first, []
        files, directory = [], f"{place}/{first}"
        files += self._files(directory, first)
        for depth, name in enumerate(rest, 2):
            dotted = ".".join(each.name.split(".")[:depth])
            if not self._listing(directory):
                # The module sets its members itself.
                return "", files
            if name not in self._modules(directory):
                return dotted, files
            directory = f"{directory}/{name}"
            files += self._files(directory, dotted)
        for member in each.members:
            if member in self._modules(directory):
                files += self._files(f"{directory}/{member}", f"{each.name}.{member}")
        return "", files

    def _files(self, path: str, name: str) -> list[tuple[str, str]]:
        package = f"{path}/__init__.py"
        if self._resolver.resolve(package).ok:
            return [(package, name)]
        return [(f"{path}.py", name.rpartition(".")[0])] if self._is_file(path + ".py") else []

    def _is_file(self, path: str) -> bool:
        return self._resolver.resolve(path).ok


def _imports(source: bytes, package: str) -> Iterator[_Import]:
    """Yield the imports that the module in ``package`` always runs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (_Import(alias.name) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            parts = package.split(".") if package else []
            above = parts[: len(parts) - statement.level + 1] if statement.level else []
            if statement.level and not above:
                continue
            name = ".".join([*above, *([statement.module] if statement.module else [])])
            yield _Import(name, tuple(alias.name for alias in statement.names))


def _read(resolver: Resolver, path: str) -> bytes:
    resolved = resolver.resolve(path)
    local = resolver.local(resolved.path) if resolved.ok else None
    try:
        file = Path(local) if local else None
        if file is None or not file.is_file() or file.stat().st_size > _MAX_SOURCE:
            return b""
        return file.read_bytes()
    except OSError:
        return b""
