# SPDX-License-Identifier: BSD-3-Clause
"""The description of a build, which a package and its consumer must have in common.

A build writes the description into the metadata of its package. A consumer computes it for
the build that it would make itself, and takes the package only if both are equal. Portage
compares the version, the USE flags and the dependencies; the description has the rest:

- ``toolchain``: vendor and version of the compiler
- ``libc``: origin and version of the C library that the package was built against
- ``profile``: the profile, which decides the layout of directories
- ``flags``: the compiler's flags and other variables that builds read
- ``ebuild``: the ebuild, its files and the checksums of its distfiles
- ``patches``: the user's patches, bashrc.user and the checkout's hooks for the package

Eclasses are not compared: by Gentoo's rules, a change that affects installed files comes with
a new revision of the ebuild.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLES = (
    "CFLAGS", "CXXFLAGS", "CPPFLAGS", "FCFLAGS", "FFLAGS", "LDFLAGS", "RUSTFLAGS", "GOFLAGS",
    "EXTRA_ECONF", "EXTRA_EMAKE", "MYCMAKEARGS", "MYMESONARGS",
)  # fmt: skip
"""The variables whose values change the result of a build."""

NONE = "none"

NAMES: Mapping[str, str] = {
    "toolchain": "compiler",
    "libc": "C library",
    "profile": "profile",
    "flags": "compiler flags",
    "ebuild": "ebuild",
    "patches": "patches",
}
"""What each word of a description means, for messages."""

_LENGTH = 16
"""The hexadecimal digits of a checksum in a description."""


@dataclass(frozen=True)
class Package:
    """The parts of a build that belong to one package."""

    category: str
    name: str
    version: str
    """Without the revision."""
    revision: str
    """``r0`` without one."""
    slot: str
    ebuild: Path
    distfiles: frozenset[str]


def describe(variables: Mapping[str, str], package: Package) -> dict[str, str]:
    """Return the description of a build, by word.

    ``variables`` are those of the build's environment, with the flags before the ebuild changes
    them. Raise ``OSError`` if a file of the ebuild cannot be read.
    """
    return {
        **of_root(variables),
        "flags": _flags(variables),
        "ebuild": _ebuild(package),
        "patches": _patches(variables, package),
    }


def of_root(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the part of a description that all packages of a root have in common."""
    version = variables.get("FLATCAR_PREFIX_TOOLCHAIN_VERSION", "")
    # The first word is the name of the program.
    toolchain = version.partition(" ")[2] or version
    return {
        "toolchain": _word(toolchain),
        "libc": _libc(variables),
        "profile": _word(variables.get("FLATCAR_PREFIX_PROFILE", "")),
    }


def text(description: Mapping[str, str]) -> str:
    """Return the metadata value of a description, ``word:value`` separated by spaces."""
    return " ".join(f"{word}:{value}" for word, value in description.items())


def parse(value: str) -> dict[str, str]:
    """Return the description in a metadata value."""
    return dict(word.split(":", 1) for word in value.split() if ":" in word)


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """Return why a build does not fit, one text per word; empty if it fits.

    Without a C library, ``ours`` fits each: the plan installs one, or the package needs none.
    The same applies to a package that was built without one.
    """
    return [
        _difference(word, theirs.get(word, ""), value)
        for word, value in ours.items()
        if theirs.get(word, "") != value
        and not (word == "libc" and NONE in (value, theirs.get(word)))
    ]


def _difference(word: str, theirs: str, ours: str) -> str:
    name = NAMES[word]
    if word in ("flags", "ebuild", "patches"):
        return f"other {name}"
    return f"{name} {theirs or 'unknown'}, not {ours}"


def _word(value: str) -> str:
    return re.sub(r"\s+", "_", value.strip()) or NONE


_GLIBC = re.compile(r"^#\s*define\s+__GLIBC(_MINOR)?__\s+(\d+)", re.MULTILINE)


def _libc(variables: Mapping[str, str]) -> str:
    """Return the C library that staging has: the version that its headers state."""
    header = Path(variables.get("ESYSROOT") or "/nonexistent") / "usr/include/features.h"
    try:
        found = dict(_GLIBC.findall(header.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return NONE
    origin = variables.get("FLATCAR_PREFIX_LIBC") or NONE
    return f"{origin}-{found['']}.{found['_MINOR']}" if len(found) == 2 else NONE


def _flags(variables: Mapping[str, str]) -> str:
    values = []
    for name in VARIABLES:
        value = " ".join(variables.get(name, "").split())
        for place in ("ROOT", "FLATCAR_PREFIX_STAGING", "EPREFIX"):
            if path := variables.get(place, "").rstrip("/"):
                value = re.sub(rf"{re.escape(path)}(?![\w.+-])", f"@{place}@", value)
        values.append(f"{name}={value}")
    return _checksum(value.encode() for value in values)


def _ebuild(package: Package) -> str:
    directory = package.ebuild.parent
    parts = [package.ebuild.read_bytes(), *_contents(_below(directory / "files"), directory)]
    manifest = directory / "Manifest"
    if package.distfiles and manifest.is_file():
        lines = manifest.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        wanted = (line.split() for line in lines if line.startswith("DIST "))
        parts += sorted(
            " ".join(words).encode("utf-8", "surrogateescape")
            for words in wanted
            if words[1] in package.distfiles
        )
    return _checksum(parts)


def _patches(variables: Mapping[str, str], package: Package) -> str:
    """Return the checksum of what ``eapply_user`` and the bashrc read for a package."""
    config = Path(variables.get("PORTAGE_CONFIGROOT") or "/nonexistent") / "etc/portage"
    directory, slot = config / "patches" / package.category, package.slot.partition("/")[0]
    p = f"{package.name}-{package.version}"
    files = [
        patch
        for name in (f"{p}-{package.revision}", p, package.name)
        for place in (directory / f"{name}:{slot}", directory / name)
        for patch in _below(place)
        if patch.suffix in (".patch", ".diff")
    ]
    if hooks := variables.get("FLATCAR_PREFIX_BOARD_HOOKS"):
        names = (package.name, p, f"{p}-{package.revision}")
        files += [Path(hooks, package.category, name) for name in names]
    files.append(config / "bashrc.user")
    contents = list(_contents((f for f in files if f.is_file()), None))
    return _checksum(contents) if contents else NONE


def _below(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _contents(files: Iterable[Path], directory: Path | None) -> Iterator[bytes]:
    """Yield the name of each file and its content."""
    for file in files:
        yield os.fsencode(file.relative_to(directory) if directory else file.name)
        yield file.read_bytes()


def _checksum(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        # The length comes first, so that different parts cannot give the same bytes.
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()[:_LENGTH]
