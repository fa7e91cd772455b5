# SPDX-License-Identifier: BSD-3-Clause
"""The keys of a recipe, as data: the check, the template and the documentation use them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.image.sbom.table import SBOMS
from flatcar_prefix.prefix.record import BOOTSTRAPS
from flatcar_prefix.recipe.source import KeyPath, Source
from flatcar_prefix.toolchain.find import KINDS as TOOLCHAINS

STRING = "a string"
STRINGS = "a list of strings"
BOOLEAN = "true or false"
INTEGER = "an integer"
PER_BOARD = "a string, or a table with a string for each board"

KINDS = ("pypi", "binary", "script", "source")
BUILD_SYSTEMS = ("autotools", "cmake", "meson", "make", "cargo", "go")


@dataclass(frozen=True)
class Key:
    """One key of a recipe."""

    name: str
    type: str
    meaning: str
    example: str
    """The value in the template, in TOML."""
    required: bool = False
    choices: Sequence[str] = ()
    kinds: Sequence[str] = KINDS
    """In ``[[software]]``: the kinds that have this key."""


@dataclass(frozen=True)
class Table:
    """A table of a recipe; the top of the recipe has no name."""

    name: str
    meaning: str
    keys: Sequence[Key]
    many: bool = False
    """Whether it is an array of tables, ``[[name]]``."""

    @property
    def by_name(self) -> dict[str, Key]:
        return {key.name: key for key in self.keys}


TOP = Table(
    "",
    "The prefix.",
    (
        Key("name", STRING, "name of the prefix", '"my-stuff"', required=True),
        Key("eprefix", STRING, "its path on the target", '"/opt/my-stuff"', required=True),
        Key(
            "boards",
            STRINGS,
            "one prefix and one image for each",
            '["amd64-usr"]',
            choices=tuple(BOARDS),
        ),
        Key("bootstrap", STRING, "origin of the C library", '"source"', choices=BOOTSTRAPS),
        Key(
            "toolchain",
            STRING,
            "the compiler; default: the best one present",
            '"host"',
            choices=TOOLCHAINS,
        ),
        Key(
            "profile",
            STRING,
            "[repo:]path; default: the board's first one that exists",
            '"gentoo-subset:default/linux/..."',
        ),
        Key("with-gcc", BOOLEAN, "build a compiler into staging, if the tree has one", "false"),
        Key("locales", STRINGS, "locales besides C.UTF-8", '["de_DE.UTF-8"]'),
        Key("unconfined", BOOLEAN, "build without confinement", "false"),
        Key(
            "scripts-dir",
            STRING,
            "scripts checkout whose repositories are used",
            '"/srv/flatcar-scripts"',
        ),
        Key(
            "overlays",
            STRINGS,
            "directories of further repositories, highest priority last",
            '["overlay"]',
        ),
        Key(
            "binhost",
            STRINGS,
            "URLs, directories and pools that have binary packages; none: build everything;"
            " default: the fitting pool of this machine",
            '["https://pool.example.org/amd64"]',
        ),
        Key(
            "binhost-key",
            STRINGS,
            "files of the public keys that sign them; none: do not verify them",
            '["pool-key.asc"]',
        ),
        Key(
            "packages", STRINGS, "packages to install, in emerge's notation", '["app-shells/dash"]'
        ),
    ),
)

PORTAGE = Table(
    "portage",
    "Portage's configuration of the prefix. Lines go into the file of that name (portage(5)).",
    (
        Key("use", STRINGS, "USE flags for all packages", '["-nls"]'),
        Key("package-use", STRINGS, "package.use", '["sys-apps/grep -pcre"]'),
        Key(
            "package-accept-keywords", STRINGS, "package.accept_keywords", '["dev-lang/python **"]'
        ),
        Key("package-license", STRINGS, "package.license", '["app-misc/thing some-EULA"]'),
        Key("package-mask", STRINGS, "package.mask", '[">=sys-apps/grep-4"]'),
        Key("package-unmask", STRINGS, "package.unmask", '["=sys-apps/grep-4.1"]'),
    ),
)

_FROM_FILE = ("binary", "script", "source")

SOFTWARE = Table(
    "software",
    "Your own software: each becomes a package, recipe/<name>, in an overlay of the prefix.",
    (
        Key("name", STRING, "name of the package, and of its program", '"hello"', required=True),
        Key("kind", STRING, "the kind of its source", '"script"', required=True, choices=KINDS),
        Key(
            "version",
            STRING,
            "default: 1; pypi uses that of the lock file",
            '"1.0"',
            kinds=_FROM_FILE,
        ),
        Key("description", STRING, "one line", '"Says hello"'),
        Key("homepage", STRING, "a URL", '"https://example.org/hello"', kinds=_FROM_FILE),
        Key("license", STRING, "Gentoo's name or SPDX's", '"MIT"', kinds=_FROM_FILE),
        Key("depends", STRINGS, "packages that it needs to run", '["app-shells/dash"]'),
        Key(
            "source",
            PER_BOARD,
            "file, directory (kind source) or URL; relative to the recipe",
            '"hello.sh"',
            kinds=_FROM_FILE,
            required=True,
        ),
        Key(
            "sha256",
            PER_BOARD,
            "of the source; required for a URL and for kind binary",
            '"9f86d081884c7d65..."',
            kinds=_FROM_FILE,
        ),
        Key(
            "programs",
            STRINGS,
            "files to install into usr/bin: paths in the tarball, with * and ?; of Cargo programs,"
            " of Go packages",
            '["*/bin/hello"]',
            kinds=("binary", "source"),
        ),
        Key(
            "whole",
            BOOLEAN,
            "install the whole tarball into usr/lib/<name>, and links to the programs",
            "false",
            kinds=("binary",),
        ),
        Key(
            "build",
            STRING,
            "the build system; default: the one whose files the source has",
            '"cmake"',
            kinds=("source",),
            choices=BUILD_SYSTEMS,
        ),
        Key(
            "options",
            STRINGS,
            "for configure, cmake, meson, make, cargo or go",
            '["-DWITH_TLS=OFF"]',
            kinds=("source",),
        ),
        Key(
            "build-depends",
            STRINGS,
            "packages with headers and libraries to build with",
            '["sys-libs/zlib"]',
            kinds=("source",),
        ),
        Key(
            "requirements",
            STRINGS,
            "PEP 508 requirements for pip; default: the name",
            '["httpie>=3.2"]',
            kinds=("pypi",),
        ),
    ),
    many=True,
)

IMAGE = Table(
    "image",
    "The image, one for each board. Without this table no image is made.",
    (
        Key(
            "output",
            STRING,
            "file, relative to the recipe; several boards add -<board> to the name",
            '"my-stuff.raw"',
        ),
        Key("format", STRING, "", '"squashfs"', choices=tuple(FORMATS)),
        Key("link", STRINGS, "PROGRAM[:NAME]: links in /usr/bin of the target", '["hello"]'),
        Key("os", STRING, "only systems of this ID", '"flatcar"'),
        Key("sysext-level", STRING, "of that system", '"1.0"'),
        Key("version-id", STRING, "of that system", '"4152.2.0"'),
        Key("reload-manager", BOOLEAN, "reload systemd's units after merging", "false"),
        Key("units", BOOLEAN, "offer units, sysusers.d and tmpfiles.d to the system", "false"),
        Key(
            "keep",
            STRINGS,
            "parts that are left out by default",
            '["docs"]',
            choices=("portage", "devel", "docs"),
        ),
        Key("exclude", STRINGS, "patterns of files to leave out", '["usr/share/locale"]'),
        Key("sbom", STRING, "a bill of materials", '"spdx"', choices=tuple(SBOMS)),
        Key(
            "provenance",
            STRING,
            "SLSA provenance; the URI names the system that builds",
            '"https://ci.example.org/prefixes"',
        ),
        Key(
            "sysupdate",
            STRING,
            "URL of the directory that systems download images from",
            '"https://example.org/images/"',
        ),
        Key("image-version", STRING, "default: the newest file's time", '"1.0"'),
        Key("butane", BOOLEAN, "write a Butane configuration; needs sysupdate", "false"),
        Key(
            "selinux",
            STRING,
            "file_contexts file of the target's policy, relative to the recipe; needs erofs",
            '"file_contexts"',
        ),
        Key("title", STRING, "the extension's name for people", '"My stuff"'),
        Key("home-url", STRING, "its home page", '"https://example.org/"'),
        Key("compression-level", INTEGER, "of the format", "12"),
        Key(
            "sign-key",
            STRING,
            "PEM file of a private key, relative to the recipe, or a PKCS#11 URI",
            '"my.key"',
        ),
        Key("sign-cert", STRING, "PEM file of its certificate, relative to the recipe", '"my.crt"'),
        Key("gpg-key", STRING, "GnuPG key that signs SHA256SUMS", '"0x1234"'),
        Key("verify", BOOLEAN, "refuse an image that is not self-contained", "true"),
    ),
)

TESTS = Table(
    "tests",
    "Commands to run in the prefix before the image is made. Boards of another architecture"
    " are emulated.",
    (
        Key(
            "run",
            STRING,
            "command in shell syntax; the sandbox contains only the prefix",
            '"hello --version"',
            required=True,
        ),
        Key("output", STRING, "text that must be in its output", '"1.0"'),
        Key("exit-code", INTEGER, "default: 0", "0"),
    ),
    many=True,
)

TABLES = (TOP, PORTAGE, SOFTWARE, IMAGE, TESTS)


def check(source: Source) -> None:
    """Raise :class:`RecipeError` for the first key that is wrong, missing or unknown."""
    tables = {table.name: table for table in TABLES[1:]}
    _check_names(source, (), source.document, [*TOP.by_name, *tables])
    _check_table(source, (), {k: v for k, v in source.document.items() if k not in tables}, TOP)
    for name, table in tables.items():
        if name not in source.document:
            continue
        value = source.document[name]
        if table.many:
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                raise source.error((name,), "is not a table", hint=f"Begin each with [[{name}]].")
            for index, one in enumerate(value):
                _check_one(source, (name, index), one, table)
        elif not isinstance(value, dict):
            raise source.error((name,), "is not a table", hint=f"Begin it with [{name}].")
        else:
            _check_one(source, (name,), value, table)


def _check_one(source: Source, path: KeyPath, value: Mapping[str, Any], table: Table) -> None:
    _check_names(source, path, value, table.by_name)
    _check_table(source, path, value, table)


def _check_names(source: Source, path: KeyPath, found: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for name in found:
        if name not in names:
            near = difflib.get_close_matches(name.replace("_", "-"), names, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Keys are: {', '.join(names)}."
            raise source.error((*path, name), "is not a known key", hint=hint)


def _check_table(source: Source, path: KeyPath, value: Mapping[str, Any], table: Table) -> None:
    kind = value.get("kind") if table is SOFTWARE else None
    for key in table.keys:
        where = (*path, key.name)
        here = kind not in KINDS or kind in key.kinds
        if key.name not in value:
            if key.required and here:
                raise source.error(
                    where, "is missing", hint=f"Add it, such as: {key.name} = {key.example}"
                )
            continue
        if not here:
            raise source.error(
                where,
                f"is not a key of kind {kind}",
                hint=f"Remove it; the key is for: {', '.join(key.kinds)}.",
            )
        _check_value(source, where, value[key.name], key)


def _check_value(source: Source, where: KeyPath, value: Any, key: Key) -> None:
    if not _fits(value, key.type):
        raise source.error(
            where, f"{value!r} is not {key.type}", hint=f"Write: {key.name} = {key.example}"
        )
    if key.type == PER_BOARD and isinstance(value, dict):
        _check_names(source, where, value, BOARDS)
    for one in value if isinstance(value, list) else [value]:
        if key.choices and one not in key.choices:
            raise source.error(
                where, f"{one!r} is not valid", hint=f"Choose from: {', '.join(key.choices)}."
            )


def _fits(value: Any, wanted: str) -> bool:
    if wanted == STRINGS:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if wanted == BOOLEAN:
        return isinstance(value, bool)
    if wanted == INTEGER:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted == PER_BOARD and isinstance(value, dict):
        return all(isinstance(one, str) for one in value.values())
    return isinstance(value, str)
