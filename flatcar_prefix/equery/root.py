# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: PTH110
# Paths are strings here, as Portage has them; pathlib costs a query time.
"""The root that is asked about: its installed packages, its configuration, its repositories.

Everything is loaded when it is first needed. Reading the installed packages needs neither a
configuration nor a repository, and loading those takes longer than most queries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from flatcar_prefix.equery.errors import Ambiguous, InvalidAtom, QueryError

# What Portage writes to a file of its own for every package, unless it is empty.
_WRITTEN = frozenset(
    "BDEPEND DEPEND DESCRIPTION EAPI HOMEPAGE IDEPEND IUSE KEYWORDS LICENSE PDEPEND RDEPEND "
    "SLOT USE repository".split()
)
_EMPTY = {"EAPI": "0"}
_CATEGORY = re.compile(r"^\w[-.+\w]*$")


class _NoVirtuals:
    """Stands in for a configuration where Portage only asks it for old-style virtuals."""

    def getvirtuals(self) -> dict[str, Any]:
        return {}

    get_virts_p = getvirtuals


class Installed:
    """The names of the installed packages, read from the directories of the VDB."""

    settings = _NoVirtuals()

    def __init__(self, path: str) -> None:
        self.path = path

    @cached_property
    def categories(self) -> list[str]:
        return sorted(name for name in _listdir(self.path) if _CATEGORY.match(name))

    @cached_property
    def _in_category(self) -> dict[str, dict[str, list[Any]]]:
        return {}

    def _category(self, category: str) -> dict[str, list[Any]]:
        """The packages of one category, `cp` to versions."""
        from portage.exception import InvalidData

        from flatcar_prefix.portage_api.packages import package

        if category not in self._in_category:
            found: dict[str, list[Any]] = {}
            for name in _listdir(f"{self.path}/{category}"):
                if not _is_package(name):
                    continue
                try:
                    cpv = package(f"{category}/{name}")
                except InvalidData:
                    continue
                found.setdefault(cpv.cp, []).append(cpv)
            self._in_category[category] = found
        return self._in_category[category]

    def cp_list(self, cp: str, use_cache: int = 1) -> list[Any]:
        return list(self._category(cp.partition("/")[0]).get(cp, ()))

    def cpv_all(self) -> list[str]:
        """Every installed package, by the directories' names alone."""
        return [
            f"{category}/{name}"
            for category in self.categories
            for name in _listdir(f"{self.path}/{category}")
            if _is_package(name)
        ]

    def __contains__(self, cpv: str) -> bool:
        return os.path.exists(f"{self.path}/{cpv}")

    def read(self, cpv: str, key: str) -> bytes:
        """The recorded file `key`, empty where there is none."""
        try:
            with open(f"{self.path}/{cpv}/{key}", "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as error:
            raise QueryError(f"{error.filename}: {error.strerror}") from error

    def repository(self, cpv: str) -> str:
        return self.read(cpv, "repository").decode(errors="replace").strip()


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_package(name: str) -> bool:
    """Tells packages from what else Portage puts beside them, as `-MERGING-…` and locks."""
    return "-" in name and name[0] not in "-." and not name.endswith(".lock")


class Target:
    """One root, as the environment names it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self._before: str | None = None

    def __enter__(self) -> Target:
        """From here, Portage's own prefix is the one that `env` says."""
        import portage

        override = self.env.get("PORTAGE_OVERRIDE_EPREFIX")
        if override is not None and override != portage.const.EPREFIX:
            self._before = portage.const.EPREFIX
            portage.const.EPREFIX = override
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import portage

            portage.const.EPREFIX = self._before

    @cached_property
    def root(self) -> str:
        """ROOT without its trailing slash: empty where the prefix is this machine's own."""
        root = self.env.get("ROOT") or "/"
        return os.path.abspath(root).rstrip("/")

    @cached_property
    def eprefix(self) -> str:
        if "EPREFIX" in self.env:
            return self.env["EPREFIX"].rstrip("/")
        import portage

        return str(portage.const.EPREFIX).rstrip("/")

    @cached_property
    def eroot(self) -> str:
        return f"{self.root}{self.eprefix}"

    @cached_property
    def config_root(self) -> str:
        return self.env.get("PORTAGE_CONFIGROOT") or self.eprefix or "/"

    @cached_property
    def installed(self) -> Installed:
        return Installed(f"{self.eroot}/var/db/pkg")

    def load_settings(self, *, local: bool = True) -> Any:
        """Portage's configuration of this root; without `local`, the repositories' part of it."""
        from portage.exception import PortageException
        from portage.package.ebuild.config import config

        env = dict(self.env)
        try:
            return config(
                config_root=env.get("PORTAGE_CONFIGROOT"),
                target_root=env.get("ROOT"),
                sysroot=env.get("SYSROOT"),
                eprefix=env.get("EPREFIX"),
                env=env,
                local_config=local,
            )
        except PortageException as error:
            raise QueryError(f"The configuration cannot be read: {error}", serious=True) from error

    @cached_property
    def settings(self) -> Any:
        return self.load_settings()

    @cached_property
    def vardb(self) -> Any:
        from portage.dbapi.vartree import vardbapi

        # A vartree of its own would load the build host's trees.
        return vardbapi(settings=self.settings, vartree=object())

    @cached_property
    def portdb(self) -> Any:
        from portage.dbapi.porttree import portdbapi

        return portdbapi(mysettings=self.settings)

    @cached_property
    def main_location(self) -> str:
        """The main repository's directory, empty without one."""
        return os.path.realpath(self.settings.repositories.mainRepoLocation() or "")

    def match_installed(self, query: str) -> list[str]:
        """The installed packages that the atom or name is about, as `vardbapi.match`."""
        from portage.dbapi.dep_expand import dep_expand
        from portage.dep import match_from_list
        from portage.exception import AmbiguousPackageName, InvalidAtom as BadAtom

        try:
            atom = dep_expand(query, mydb=self.installed, settings=self.installed.settings)
            if not atom:
                return []
            if atom.slot or atom.repo or atom.use:
                return list(self.vardb.match(atom))
            return list(match_from_list(atom, self.installed.cp_list(atom.cp)))
        except AmbiguousPackageName as error:
            raise Ambiguous(error.args[0]) from error
        except BadAtom as error:
            raise InvalidAtom(error) from error

    def match_tree(self, query: str, level: str = "match-all") -> Any:
        """What `portdbapi.xmatch` finds for an atom or a name."""
        from portage.exception import AmbiguousPackageName, InvalidAtom as BadAtom

        try:
            return self.portdb.xmatch(level, query)
        except AmbiguousPackageName as error:
            raise Ambiguous(error.args[0]) from error
        except BadAtom as error:
            raise InvalidAtom(query) from error

    def recorded(self, cpv: str, keys: Sequence[str], *, tree_first: bool = False) -> list[str]:
        """Metadata of a package, installed or in a repository; `QueryError` if it is neither."""
        for database in (self._in_tree, self._in_vdb)[:: 1 if tree_first else -1]:
            try:
                return database(cpv, list(keys))
            except KeyError:
                continue
        raise QueryError(f"Fatal error: nothing is recorded about {cpv}", serious=True)

    def _in_tree(self, cpv: str, keys: list[str]) -> list[str]:
        return list(self.portdb.aux_get(cpv, keys))

    def _in_vdb(self, cpv: str, keys: list[str]) -> list[str]:
        """Raises KeyError for what is not installed."""
        if cpv not in self.installed:
            raise KeyError(cpv)
        if not _WRITTEN.issuperset(keys):
            # Some of it may only be in the environment that was saved.
            return list(self.vardb.aux_get(cpv, keys))
        texts = (self.installed.read(cpv, key).decode(errors="replace") for key in keys)
        return [
            " ".join(text.split()) or _EMPTY.get(key, "")
            for key, text in zip(keys, texts, strict=True)
        ]

    def origin(self, cpv: str) -> tuple[str | None, str | None]:
        """The ebuild of a package and the repository that it is in."""
        ebuild, tree = self.portdb.findname2(cpv)
        return ebuild or None, tree or None

    def all_in_tree(self) -> Iterable[str]:
        for cp in self.portdb.cp_all():
            yield from self.portdb.cp_list(cp)
