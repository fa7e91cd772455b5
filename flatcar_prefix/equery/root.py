# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: PTH110
# Paths are strings, as in Portage; importing pathlib takes time.
"""The queried root: its installed packages, its configuration and its repositories.

This module loads each part on first use. Reading the installed packages needs neither the
configuration nor the repositories, and loading them takes longer than most queries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from flatcar_prefix.equery.errors import Ambiguous, InvalidAtom, QueryError

_CATEGORY = re.compile(r"^\w[-.+\w]*$")


class _NoVirtuals:
    """A replacement for a configuration from which Portage reads only old-style virtuals."""

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
        """Return the packages of one category: the versions for each `cp`."""
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
        """Return all installed packages, from the names of the directories only."""
        return [
            f"{category}/{name}"
            for category in self.categories
            for name in _listdir(f"{self.path}/{category}")
            if _is_package(name)
        ]

    def __contains__(self, cpv: str) -> bool:
        return os.path.exists(f"{self.path}/{cpv}")

    def contents(self, cpv: str) -> bytes:
        """Return CONTENTS, a file of its own in each form of the VDB; empty if it does not exist.

        The other fields may be in one file together, which only Portage's vardbapi reads.
        Raise `QueryError` if the file cannot be read.
        """
        try:
            with open(f"{self.path}/{cpv}/CONTENTS", "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as error:
            raise QueryError(f"{error.filename}: {error.strerror}") from error


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_package(name: str) -> bool:
    """Return whether a name is a package and not another file of Portage.

    Other files are locks and the directories of unfinished merges, `-MERGING-…`.
    """
    return "-" in name and name[0] not in "-." and not name.endswith(".lock")


class Target:
    """The root that the environment selects."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self._before: str | None = None

    def __enter__(self) -> Target:
        """Set Portage's own prefix to PORTAGE_OVERRIDE_EPREFIX of `env` for the context."""
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
        """ROOT without its trailing slash, so that `/` becomes an empty string."""
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
        """Return Portage's configuration of this root.

        Without `local`, ignore the user's configuration. Raise `QueryError` if Portage cannot
        load it.
        """
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

        # Without a vartree argument, vardbapi would load the build host's trees.
        return vardbapi(settings=self.settings, vartree=object())

    @cached_property
    def portdb(self) -> Any:
        from portage.dbapi.porttree import portdbapi

        return portdbapi(mysettings=self.settings)

    @cached_property
    def main_location(self) -> str:
        """The directory of the main repository."""
        return os.path.realpath(self.settings.repositories.mainRepoLocation() or "")

    def match_installed(self, query: str) -> list[str]:
        """Return the installed packages that match an atom or a name, as `vardbapi.match` does.

        Raise `Ambiguous` or `InvalidAtom`.
        """
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
        """Return the result of `portdbapi.xmatch` for an atom or a name.

        Raise `Ambiguous` or `InvalidAtom`.
        """
        from portage.exception import AmbiguousPackageName, InvalidAtom as BadAtom

        try:
            return self.portdb.xmatch(level, query)
        except AmbiguousPackageName as error:
            raise Ambiguous(error.args[0]) from error
        except BadAtom as error:
            raise InvalidAtom(query) from error

    def recorded(self, cpv: str, keys: Sequence[str], *, tree_first: bool = False) -> list[str]:
        """Return the metadata `keys` of a package from the VDB or else from a repository.

        With `tree_first`, prefer the repository. Raise `QueryError` if neither has the package.
        """
        for database in (self._in_tree, self._in_vdb)[:: 1 if tree_first else -1]:
            try:
                return database(cpv, list(keys))
            except KeyError:
                continue
        raise QueryError(f"Fatal error: nothing is recorded about {cpv}", serious=True)

    def _in_tree(self, cpv: str, keys: list[str]) -> list[str]:
        return list(self.portdb.aux_get(cpv, keys))

    def _in_vdb(self, cpv: str, keys: list[str]) -> list[str]:
        """Return the metadata from the VDB; raise KeyError if the package is not installed."""
        if cpv not in self.installed:
            raise KeyError(cpv)
        return list(self.vardb.aux_get(cpv, keys))

    def origin_of_installed(self, cpv: str) -> str:
        """Return the repository of an installed package, empty if it is unknown."""
        try:
            return self._in_vdb(cpv, ["repository"])[0]
        except KeyError:
            return ""

    def origin(self, cpv: str) -> tuple[str | None, str | None]:
        """Return the ebuild of a package and its repository, None if no repository has it."""
        ebuild, tree = self.portdb.findname2(cpv)
        return ebuild or None, tree or None

    def all_in_tree(self) -> Iterable[str]:
        for cp in self.portdb.cp_all():
            yield from self.portdb.cp_list(cp)
