# SPDX-License-Identifier: BSD-3-Clause
"""Data files that make programs load files from outside the prefix.

Each kind of file has an expression for the paths that a program opens. Configuration that
names files of the host on purpose is not among them.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.tree import Tree


class _Kind(NamedTuple):
    what: str
    path: re.Pattern[str]
    named: re.Pattern[bytes]
    """The first group is a path."""
    relative: bool = False
    """Whether a relative path is relative to the directory of the file."""


def _kind(what: str, path: str, named: str, *, relative: bool = False) -> _Kind:
    return _Kind(what, re.compile(path), re.compile(named.encode(), re.MULTILINE), relative)


_KINDS = (
    _kind(
        "module path",
        r"/(?:site|dist)-packages/[^/]+\.pth\Z",
        r"^(?!import[ \t])([^#\s].*?)\s*$",
        relative=True,
    ),
    _kind("link to a package", r"/(?:site|dist)-packages/[^/]+\.egg-link\Z", r"\A(/.*?)\s*$"),
    _kind("home of Python", r"/pyvenv\.cfg\Z", r"^home\s*=\s*(/.*?)\s*$"),
    _kind(
        "character set module",
        r"/gconv-modules(?:\.d/[^/]+\.conf)?\Z",
        r"^\s*module\s+\S+\s+\S+\s+(/\S+)",
    ),
    _kind("loadable module", r"/(?:loaders|immodules|giomodule)\.cache\Z", r"^\"?(/[^\"\s]+)\"?"),
    _kind("library to load", r"/(?:OpenCL/vendors/[^/]+\.icd|ocaml/ld\.conf)\Z", r"^(/\S+)"),
    _kind(
        "library to load", r"/(?:vulkan|glvnd)/.*\.json\Z", r"\"library_path\"\s*:\s*\"(/[^\"]+)"
    ),
    _kind(
        "search path of ldconfig",
        r"/etc/ld\.so\.conf(?:\.d/[^/]+\.conf)?\Z",
        r"^(?:include\s+)?(/[^\s#]+)",
    ),
    _kind(
        "program of a D-Bus service",
        r"/dbus-1/(?:system-)?services/[^/]+\.service\Z",
        r"^Exec=(/\S+)",
    ),
    _kind("library of a module", r"\.la\Z", r"^libdir='(/[^']+)'"),
    _kind("directory of Tcl packages", r"/pkgIndex\.tcl\Z", r"\b(?:load|source)\s+\{?(/[^\s\]}]+)"),
)
_ANY = re.compile("|".join(f"(?:{kind.path.pattern})" for kind in _KINDS))
_HARMLESS = re.compile(r"/(?:dev|proc|sys)/|/bin/(?:true|false)\Z")


def check_host_paths(tree: Tree, path: str, head: bytes) -> Iterator[Finding]:
    """Yield a finding for a data file that names a file of the host."""
    if not _ANY.search(path):
        return
    for kind in _KINDS:
        if kind.path.search(path):
            outside = next(_outside(tree, path, kind, head), None)
            if outside:
                message = f"names {outside} ({kind.what}), outside the prefix"
                yield Finding("host-path", path, message)
            return


def _outside(tree: Tree, path: str, kind: _Kind, head: bytes) -> Iterator[str]:
    for match in kind.named.finditer(head):
        named = os.fsdecode(match.group(1))
        if not named.startswith("/") and not kind.relative:
            continue
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), named))
        whole = "/" + whole.lstrip("/")
        if not tree.inside(whole) and not _HARMLESS.search(whole):
            yield named
