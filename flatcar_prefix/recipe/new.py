# SPDX-License-Identifier: BSD-3-Clause
"""Create an ebuild repository, and a first ebuild in it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.fetch import __main__ as fetching
from flatcar_prefix.recipe import overlay as overlays
from flatcar_prefix.recipe.distfiles import manifest_line
from flatcar_prefix.recipe.kinds import source
from flatcar_prefix.recipe.kinds.common import licence as licence_word, quoted
from flatcar_prefix.recipe.versions import is_package_name
from flatcar_prefix.system.files import write_atomic
from flatcar_prefix.system.places import detect_sdk

_CATEGORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*")

_TEMPLATE = """\
EAPI=8

DESCRIPTION="{description}"
HOMEPAGE="https://example.org/"
SRC_URI="{uri}"
{s}
{licence}
SLOT="0"
KEYWORDS="amd64 arm64"

{depends}
{phases}"""

_NO_LICENCE = """\
# Correct this: the name of a file in licenses/ of a repository, or of one that you add there.
LICENSE="BSD\""""

_COMPILED = """\
DEPEND="virtual/libc"
RDEPEND="${DEPEND}\""""

_SCRIPT = """\
RDEPEND="app-shells/dash\""""

_EMPTY = """
src_install() {
	# Install the files of the package; paths are relative to EPREFIX.
	newbin - hello <<-EOF
		#!${EPREFIX}/bin/sh
		echo hello
	EOF
}
"""


def overlay(directory: Path, *, name: str | None, masters: Sequence[str]) -> None:
    """Make an empty ebuild repository; raise :class:`PrefixError` if the directory is in use."""
    overlays.new_overlay(directory, name=name or directory.name, masters=masters)


def ebuild(
    directory: Path,
    package: str,
    *,
    uri: str = "",
    build: str = "",
    licence: str = "",
    description: str = "",
) -> Path:
    """Write an ebuild, its metadata.xml and its Manifest; return the ebuild.

    Raise :class:`PrefixError` if there is no repository, if the ebuild exists, or if ``uri``
    cannot be fetched: nothing is written then.
    """
    category, name, version = _split(package)
    if not (directory / "profiles/repo_name").is_file():
        raise PrefixError(
            f"{directory} is not an ebuild repository: it has no profiles/repo_name",
            hint=f"Make one: flatcar-prefix new-overlay {directory}",
        )
    file = directory / category / name / f"{name}-{version}.ebuild"
    if file.exists():
        raise PrefixError(f"{file} exists already", hint="Edit it, or give another version.")
    manifest, s, phases = "", 'S="${WORKDIR}"\n', _EMPTY
    if uri:
        manifest, top, names = _fetched(uri)
        system = build or source.system_of(names)
        s = f'S="${{WORKDIR}}/{_generic(top, name, version)}"\n' if top else s
        phases = source.phases(system, program=name) if system else ""
    elif build:
        phases = source.phases(build, program=name)
    text = _TEMPLATE.format(
        description=quoted(description or f"{name} in one line"),
        uri=_generic(uri, name, version),
        s=s,
        licence=f'LICENSE="{licence_word(licence)}"' if licence else _NO_LICENCE,
        depends=_SCRIPT if phases == _EMPTY else _COMPILED,
        phases=phases,
    )
    overlays.add_category(directory, category)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file.parent / "metadata.xml", overlays.METADATA)
    if manifest:
        known = file.parent / "Manifest"
        lines = known.read_text(encoding="utf-8").splitlines(True) if known.exists() else []
        write_atomic(known, "".join(sorted({*lines, manifest})))
    write_atomic(file, text)
    return file


def _split(package: str) -> tuple[str, str, str]:
    from portage.versions import catpkgsplit

    parts = catpkgsplit(package) if "/" in package else None
    if not parts or not _CATEGORY.fullmatch(parts[0]) or not is_package_name(parts[1]):
        raise UsageError(
            f"{package!r} is not a package with a version",
            hint="Write category/name-version, such as app-misc/hello-1.0",
        )
    revision = "" if parts[3] == "r0" else f"-{parts[3]}"
    return parts[0], parts[1], f"{parts[2]}{revision}"


def _generic(text: str, name: str, version: str) -> str:
    """Return ``text`` with ${PV} or ${P}, so that the next version is a copy of the file."""
    bare = version.partition("-r")[0]
    return text.replace(f"{name}-{bare}", "${P}").replace(bare, "${PV}")


def _fetched(uri: str) -> tuple[str, str, list[str]]:
    """Return the Manifest's line for a source, its top directory and the names in it."""
    name = unquote(urlsplit(uri).path).rpartition("/")[2]
    if not name:
        raise UsageError(f"{uri} does not end with a file's name", hint="Give the URI of a file.")
    distdir = detect_sdk().distdir
    distdir.mkdir(parents=True, exist_ok=True)
    file = distdir / name
    if not file.exists():
        with tempfile.TemporaryDirectory(dir=distdir, prefix=".fetching-") as scratch:
            part = Path(scratch) / name
            request = fetching.Request(uri, part, cache=distdir.parent / "apt")
            fetching.fetch(request, os_release=fetching.read_os_release())
            part.chmod(0o644)
            part.replace(file)
    top, names = source.top(file)
    return manifest_line(file), top, names
