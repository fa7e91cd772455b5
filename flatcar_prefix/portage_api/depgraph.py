# SPDX-License-Identifier: BSD-3-Clause
"""What a plan of Portage's comes to, as far as the other root has to know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Planned:
    """A package that a plan knows of."""

    cpv: str
    slot_atom: str
    merges: bool
    """Whether it is to be installed, rather than there already."""
    asked: bool
    """Whether it was asked for that this be the version that is wanted."""
    only_dependencies: bool
    """Whether it is there for its dependencies' sake (``--onlydeps``)."""
    metadata: Mapping[str, str] | None
    """What a binary package of it would say, for one that is built from an ebuild."""


@dataclass(frozen=True)
class Plan:
    """A plan, or how far Portage has come with it."""

    success: bool
    packages: tuple[Planned, ...]
    host: tuple[Planned, ...]
    """What is of the build host, which programs of a package may want when it is installed."""
    unsatisfied: tuple[Any, ...]
    """Atoms for which there is no package that may be installed."""

    @property
    def merges(self) -> dict[str, str]:
        """What is to be installed, by its slot."""
        return {package.slot_atom: package.cpv for package in self.packages if package.merges}


def read(graph: Any, *, success: bool, eroot: str, host: str, keys: Iterable[str]) -> Plan:
    """Return what the depgraph ``graph`` plans for the root ``eroot`` and for the build host's.

    ``keys`` are the metadata that binary packages have.
    """
    keys = frozenset(keys)
    missing = graph._dynamic_config._unsatisfied_deps_for_display
    return Plan(
        success=success,
        packages=tuple(_packages(graph, eroot, keys)) if success else (),
        host=tuple(_packages(graph, host, keys)) if success else (),
        unsatisfied=tuple(dict.fromkeys(positional[1] for positional, _ in missing)),
    )


def _packages(graph: Any, eroot: str, keys: frozenset[str]) -> Iterator[Planned]:
    from _emerge.Package import Package
    from _emerge.SetArg import SetArg

    dynamic = graph._dynamic_config
    arguments = set(dynamic._initial_arg_list)
    opts = graph._frozen_config.myopts
    all_asked = "--deep" in opts or any(isinstance(argument, SetArg) for argument in arguments)
    for node in dynamic.digraph:
        if not isinstance(node, Package) or node.root != eroot:
            continue
        builds = node.type_name == "ebuild" and (node.onlydeps or node.operation == "merge")
        yield Planned(
            cpv=str(node.cpv),
            slot_atom=str(node.slot_atom),
            merges=node.operation == "merge",
            asked="--noreplace" not in opts
            and (all_asked or bool(arguments.intersection(dynamic.digraph.parent_nodes(node)))),
            only_dependencies=bool(node.onlydeps),
            metadata=_metadata(node, keys) if builds else None,
        )


def _metadata(package: Any, keys: frozenset[str]) -> dict[str, str]:
    return {
        **{key: package._metadata.get(key, "") for key in keys},
        "USE": " ".join(sorted(package.use.enabled)),
        "repository": package.repo,
        "BUILD_ID": "",
        "SIZE": "0",
    }


def as_binaries(packages: Iterable[Planned], bintree: Any) -> Any:
    """Return a database of what will have been built, as if it were in ``bintree``.

    See ``portage.dbapi.virtual.fakedbapi``; None when nothing is built.
    """
    from portage.dbapi.virtual import fakedbapi

    built = [package for package in packages if package.metadata is not None]
    if not built:
        return None
    database = fakedbapi(settings=bintree.settings)
    database._aux_cache_keys = frozenset(bintree.dbapi._aux_cache_keys)
    database.bintree = bintree  # which Portage asks of binary packages
    for package in built:
        database.cpv_inject(package.cpv, metadata=dict(package.metadata or {}))
    return database
