# SPDX-License-Identifier: BSD-3-Clause
"""Software from PyPI in the files of a package, found by the metadata of Python packages.

See "Recording installed projects" and "Binary distribution format" of the Python packaging
specifications.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.parser import BytesHeaderParser
from typing import NamedTuple

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from flatcar_prefix.image.selection import Entry

_METADATA = re.compile(r".*\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")


class Project(NamedTuple):
    """A project of PyPI in an image."""

    name: str
    """The normalized name."""
    version: str
    path: str
    """The file that names it, on the target."""
    summary: str = ""


def projects(entries: Iterable[Entry]) -> list[Project]:
    """Return the installed projects and wheels among ``entries``, each version once, by name."""
    found: dict[tuple[str, str], Project] = {}
    for entry in entries:
        for project in _projects(entry):
            found.setdefault((project.name, project.version), project)
    return [found[key] for key in sorted(found)]


def _projects(entry: Entry) -> Iterator[Project]:
    if not entry.is_file:
        return
    path = f"/{entry.path}"
    if _METADATA.fullmatch(path):
        headers = BytesHeaderParser().parsebytes(entry.read())
        name, version = str(headers["Name"] or ""), str(headers["Version"] or "")
        if name and version:
            summary = str(headers["Summary"] or "")
            yield Project(str(canonicalize_name(name)), version, path, summary)
    elif path.endswith(".whl"):
        try:
            name, wheel_version, _, _ = parse_wheel_filename(path.rpartition("/")[2])
        except InvalidWheelFilename:
            return
        yield Project(str(name), str(wheel_version), path)
