# SPDX-License-Identifier: BSD-3-Clause
"""Ebuild repositories: a new one for a user, and the one that a build writes for its prefix."""

from __future__ import annotations

import re
import shutil
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.recipe.distfiles import Distfile, manifest_line
from flatcar_prefix.system.files import write_atomic

MARK = "# Written by `flatcar-prefix build`"

HEAD = f"""\
{MARK} from a recipe; the next build writes it again.
# To keep changes of your own, delete these two lines.

EAPI=8
"""

_REVISION = re.compile(r"-r(\d+)\.ebuild$")

METADATA = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE pkgmetadata SYSTEM "https://www.gentoo.org/dtd/metadata.dtd">
<pkgmetadata/>
"""


LICENCE = """\
{}: the licence of a package of a recipe. No repository of the prefix contains its text. See the
homepage or the source of the package.
"""


@dataclass(frozen=True)
class Package:
    """A package to write into an overlay."""

    category: str
    name: str
    version: str
    ebuild: str
    """The text that follows :data:`HEAD`."""
    distfiles: tuple[Distfile, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The contents of ``files/``."""

    @property
    def key(self) -> str:
        return f"{self.category}/{self.name}"


def write_skeleton(directory: Path, name: str, masters: Iterable[str]) -> None:
    """Write the files that make a directory an ebuild repository (PMS, Repositories)."""
    (directory / "profiles").mkdir(parents=True, exist_ok=True)
    (directory / "metadata").mkdir(exist_ok=True)
    texts = {
        "profiles/repo_name": f"{name}\n",
        "profiles/eapi": "8\n",
        "metadata/layout.conf": (
            f"masters = {' '.join(masters)}\n"
            "# A Manifest has the checksums of source files only.\n"
            "thin-manifests = true\n"
            "manifest-hashes = BLAKE2B SHA512\n"
            "manifest-required-hashes = BLAKE2B\n"
            "sign-manifests = false\n"
        ),
    }
    for path, text in texts.items():
        _write(directory / path, text)
    if not (directory / "profiles/categories").exists():
        write_atomic(directory / "profiles/categories", "")


def add_category(directory: Path, category: str) -> None:
    """Name a category in profiles/categories."""
    file = directory / "profiles/categories"
    known = file.read_text(encoding="utf-8").split() if file.exists() else []
    if category not in known:
        write_atomic(file, "".join(f"{name}\n" for name in sorted([*known, category])))


def write(
    directory: Path,
    packages: Iterable[Package],
    *,
    name: str,
    masters: Iterable[str],
    known_licences: Container[str] = (),
) -> list[str]:
    """Make ``directory`` the overlay of these packages; return the user's own ebuilds.

    A package whose ebuild changes gets a new revision, so that Portage builds it again.
    Other packages are removed, except those with an ebuild of the user.
    """
    write_skeleton(directory, name, masters)
    wanted = list(packages)
    _write_licences(directory, wanted, known_licences)
    kept = [each for package in wanted if (each := _write_package(directory, package))]
    keys = {package.key for package in wanted}
    for path in sorted(directory.glob("*/*/")):
        key = f"{path.parent.name}/{path.name}"
        ours = path.parent.name not in ("profiles", "metadata") and any(path.glob("*.ebuild"))
        if ours and key not in keys and not _of_user(path):
            shutil.rmtree(path)
    return kept


def _write_licences(directory: Path, packages: Iterable[Package], known: Container[str]) -> None:
    """Write a file for each licence that no repository has: Portage masks unknown names."""
    for package in packages:
        match = re.search(r'^LICENSE="(.*)"$', package.ebuild, re.MULTILINE)
        for word in match[1].split() if match else ():
            if word not in known and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*", word):
                (directory / "licenses").mkdir(exist_ok=True)
                _write(directory / "licenses" / word, LICENCE.format(word))


def _write_package(directory: Path, package: Package) -> str:
    """Write one package; return the path of a user's ebuild, which does not change."""
    add_category(directory, package.category)
    place = directory / package.category / package.name
    if theirs := _of_user(place):
        return str(theirs)
    text = f"{HEAD}{package.ebuild}"
    (place / "files").mkdir(parents=True, exist_ok=True)
    for name, content in package.files.items():
        if (
            not (place / "files" / name).exists()
            or (place / "files" / name).read_bytes() != content
        ):
            (place / "files" / name).write_bytes(content)
    for path in (place / "files").iterdir():
        if path.name not in package.files:
            path.unlink()
    _write(place / "metadata.xml", METADATA)
    _write(place / "Manifest", "".join(sorted(manifest_line(f.path) for f in package.distfiles)))
    current = sorted(place.glob("*.ebuild"))
    same = f"{package.name}-{package.version}"
    revision = -1
    for path in current:
        if re.fullmatch(rf"{re.escape(same)}(-r\d+)?\.ebuild", path.name):
            revision = max(revision, int(match[1]) if (match := _REVISION.search(path.name)) else 0)
            if path.read_text(encoding="utf-8") == text:
                return ""
    file = place / f"{same}{f'-r{revision + 1}' if revision >= 0 else ''}.ebuild"
    write_atomic(file, text)
    for path in current:
        path.unlink()
    return ""


def _of_user(place: Path) -> Path | None:
    """Return an ebuild from which a user has removed the mark of this program."""
    for path in sorted(place.glob("*.ebuild")):
        if not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
            return path
    return None


def _write(path: Path, text: str) -> None:
    """Write a file if its content changes; Portage's caches depend on the modification time."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomic(path, text)


def new_overlay(directory: Path, *, name: str, masters: Iterable[str]) -> None:
    """Create a repository for a user; raise :class:`PrefixError` if the directory has files."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", name):
        raise PrefixError(
            f"{name!r} cannot be the name of a repository",
            hint="Give another with --name: letters, digits, _ and -.",
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise PrefixError(f"{directory} exists and is not empty", hint="Give a new directory.")
    write_skeleton(directory, name, masters)
