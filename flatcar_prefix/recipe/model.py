# SPDX-License-Identifier: BSD-3-Clause
"""A recipe after its check."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from flatcar_prefix.boards import DEFAULT_BOARD
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.image.options import Options
from flatcar_prefix.image.verity import is_token
from flatcar_prefix.prefix.names import check_eprefix, check_name
from flatcar_prefix.recipe import schema
from flatcar_prefix.recipe.source import KeyPath, RecipeError, Source, read
from flatcar_prefix.recipe.versions import is_package_name, is_version

_SETUP_KEYS = frozenset({"bootstrap", "toolchain", "profile", "with-gcc", "unconfined", "locales"})

IMAGE_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "format": "format",
        "os": "os_id",
        "sysext-level": "sysext_level",
        "version-id": "version_id",
        "reload-manager": "reload_manager",
        "units": "units",
        "keep": "keep",
        "exclude": "exclude",
        "link": "links",
        "sbom": "sbom",
        "provenance": "provenance",
        "sysupdate": "sysupdate",
        "image-version": "image_version",
        "butane": "butane",
        "selinux": "selinux",
        "title": "title",
        "home-url": "home_url",
        "verify": "verify",
        "compression-level": "level",
        "sign-key": "sign_key",
        "sign-cert": "sign_cert",
        "gpg-key": "gpg_key",
    }
)
"""The keys of ``[image]`` that are fields of :class:`Options`."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Software:
    """One ``[[software]]`` table."""

    recipe: Recipe
    index: int
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.values["name"])

    @property
    def kind(self) -> str:
        return str(self.values["kind"])

    @property
    def version(self) -> str:
        return str(self.values.get("version", "1"))

    def text(self, key: str, default: str = "") -> str:
        return str(self.values.get(key, default))

    def words(self, key: str) -> tuple[str, ...]:
        return tuple(self.values.get(key, ()))

    def for_board(self, key: str, board: str) -> str:
        """Return the value of a key for this board; empty if the key is not set."""
        value = self.values.get(key, "")
        return str(value.get(board, "") if isinstance(value, dict) else value)

    def error(self, key: str, what: str, *, hint: str) -> RecipeError:
        """Return the error for the value of a key."""
        return self.recipe.source.error(("software", self.index, key), what, hint=hint)


@dataclass(frozen=True)
class Test:
    """One ``[[tests]]`` table."""

    index: int
    words: tuple[str, ...]
    output: str
    exit_code: int


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. Paths in it are relative to its directory."""

    source: Source

    @property
    def file(self) -> Path:
        return self.source.file

    @property
    def name(self) -> str:
        return str(self.source.document["name"])

    @property
    def eprefix(self) -> str:
        return check_eprefix(str(self.source.document["eprefix"]))

    @property
    def boards(self) -> tuple[str, ...]:
        return tuple(self.source.document.get("boards", (DEFAULT_BOARD,)))

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(self.source.document.get("packages", ()))

    @property
    def overlays(self) -> tuple[Path, ...]:
        return tuple(self.path(one) for one in self.source.document.get("overlays", ()))

    @property
    def portage(self) -> Mapping[str, Any]:
        return dict(self.source.document.get("portage", {}))

    @property
    def software(self) -> tuple[Software, ...]:
        tables = self.source.document.get("software", ())
        return tuple(Software(self, index, values) for index, values in enumerate(tables))

    @property
    def tests(self) -> tuple[Test, ...]:
        return tuple(_tests(self.source))

    @property
    def image(self) -> Mapping[str, Any] | None:
        return self.source.document.get("image")

    def setup_options(self) -> dict[str, Any]:
        """Return the keyword arguments of :func:`flatcar_prefix.setup` that the recipe sets."""
        document = self.source.document
        given = _SETUP_KEYS & document.keys()
        options = {name.replace("-", "_"): document[name] for name in given}
        if "binhost" in document:
            # Only a path of a directory is relative to the recipe.
            options["binhost"] = [
                str(self.path(word)) if "/" in word and "://" not in word else word
                for word in document["binhost"]
            ]
        if "binhost-key" in document:
            options["binhost_key"] = [
                word if word == "none" else self.path(word) for word in document["binhost-key"]
            ]
        if "scripts-dir" in document:
            options["scripts_dir"] = self.path(document["scripts-dir"])
        return options

    def image_options(self, *, epoch: int | None = None) -> Options:
        """Return the options of the images; ``epoch`` is SOURCE_DATE_EPOCH."""
        values: dict[str, Any] = {}
        for key, value in (self.image or {}).items():
            if field := IMAGE_FIELDS.get(key):
                values[field] = tuple(value) if isinstance(value, list) else value
        for field in ("sign_key", "sign_cert", "selinux"):
            if field in values and not is_token(values[field]):
                values[field] = str(self.path(values[field]))
        return Options(**values, epoch=epoch)

    def image_file(self, board: str, suffix: str) -> Path:
        """Return the path of the board's image."""
        path = self.path((self.image or {}).get("output", f"{self.name}{suffix}"))
        if path.is_dir() and suffix:
            path = path / f"{self.name}{suffix}"
        if len(self.boards) > 1:
            path = path.with_name(f"{path.name.removesuffix(suffix)}-{board}{suffix}")
        return path

    def path(self, text: str) -> Path:
        """Return a path of the recipe, which is relative to the recipe's directory."""
        return (self.file.absolute().parent / text).resolve()


def lock_file(recipe: Path) -> Path:
    """Return the lock file of a recipe."""
    return recipe.with_name(f"{recipe.name.removesuffix('.toml')}.lock")


def load(file: Path) -> Recipe:
    """Return the recipe in ``file``; raise :class:`RecipeError` for the first mistake in it."""
    source = read(file)
    schema.check(source)
    recipe = Recipe(source)
    _check_prefix(recipe)
    names: dict[str, int] = {}
    for software in recipe.software:
        _check_software(software)
        if software.name in names:
            raise software.error(
                "name", f"{software.name} is defined twice", hint="Rename one of the two."
            )
        names[software.name] = software.index
    list(_tests(source))
    for overlay in recipe.overlays:
        if not overlay.is_dir():
            raise source.error(
                ("overlays",),
                f"the directory {overlay} does not exist",
                hint=f"Correct the path, or run: flatcar-prefix new-overlay {overlay}",
            )
    return recipe


def _check_prefix(recipe: Recipe) -> None:
    document = recipe.source.document
    checks: dict[str, Callable[[str], str]] = {"name": check_name, "eprefix": check_eprefix}
    for key, check in checks.items():
        try:
            check(document[key])
        except UsageError as error:
            raise recipe.source.error((key,), str(error), hint=error.hint) from error
    if not recipe.boards:
        raise recipe.source.error(("boards",), "is empty", hint='Write: boards = ["amd64-usr"]')
    _check_atoms(recipe.source, ("packages",), recipe.packages)


def _check_atoms(source: Source, path: KeyPath, words: tuple[str, ...]) -> None:
    from portage.dep import Atom
    from portage.exception import InvalidAtom

    for word in words:
        if word.startswith("@"):
            continue
        try:
            Atom(word, allow_repo=True)
        except InvalidAtom as error:
            raise source.error(
                path,
                f"{word!r} is not a package",
                hint="Write category/name, such as sys-apps/grep.",
            ) from error


def _check_software(software: Software) -> None:
    if not is_package_name(software.name):
        raise software.error(
            "name",
            f"{software.name!r} cannot be the name of a package",
            hint="Use A-Z a-z 0-9 + _ -, and do not end with a version such as -1.",
        )
    if not is_version(software.version):
        raise software.error(
            "version",
            f"{software.version!r} is not a version that Portage knows",
            hint="Write it like 1.2.3, 1.2_rc1 or 20240131 (see PMS, Version Specifications).",
        )
    for key in ("depends", "build-depends"):
        path = ("software", software.index, key)
        _check_atoms(software.recipe.source, path, software.words(key))
    if software.kind == "pypi":
        _check_requirements(software)
    else:
        for board in software.recipe.boards:
            _check_origin(software, board)


def _check_requirements(software: Software) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    for text in software.words("requirements"):
        try:
            Requirement(text)
        except InvalidRequirement as error:
            raise software.error(
                "requirements",
                f"{text!r} is not a requirement",
                hint='Write a PEP 508 requirement, such as "httpie>=3.2".',
            ) from error


def is_url(text: str) -> bool:
    """Return whether a source is fetched from a server."""
    return urlsplit(text).scheme in ("http", "https", "ftp", "debian")


def _check_origin(software: Software, board: str) -> None:
    place, digest = software.for_board("source", board), software.for_board("sha256", board)
    if not place:
        raise software.error(
            "source",
            f"has no value for {board}",
            hint="Add a value, or remove the board from boards.",
        )
    if digest and not _SHA256.fullmatch(digest):
        raise software.error(
            "sha256", f"{digest!r} is not a SHA-256", hint="Write the 64 digits of sha256sum."
        )
    if is_url(place):
        if not digest:
            raise software.error(
                "sha256",
                f"is missing for {place}",
                hint="Download the file, verify it, and write the output of sha256sum.",
            )
        return
    path = software.recipe.path(place)
    if not path.exists():
        raise software.error("source", f"{path} does not exist", hint="Correct the path.")
    if path.is_dir() and software.kind != "source":
        raise software.error(
            "source", f"{path} is a directory", hint="Give a file, or use kind source."
        )
    if software.kind == "binary" and not digest:
        raise software.error(
            "sha256", "is missing", hint=f"Write the output of: sha256sum {shlex.quote(str(path))}"
        )


def _tests(source: Source) -> Iterator[Test]:
    for index, values in enumerate(source.document.get("tests", ())):
        try:
            words = tuple(shlex.split(values["run"]))
        except ValueError as error:
            raise source.error(
                ("tests", index, "run"), f"cannot be divided into words: {error}",
                hint="Close the quotation.",
            ) from error  # fmt: skip
        if not words:
            raise source.error(("tests", index, "run"), "is empty", hint="Write a command.")
        yield Test(index, words, values.get("output", ""), values.get("exit-code", 0))


def prefix_error(recipe: Recipe, path: KeyPath, error: PrefixError) -> RecipeError:
    """Return ``error`` as the error of one key."""
    return recipe.source.error(path, str(error), hint=error.hint)
