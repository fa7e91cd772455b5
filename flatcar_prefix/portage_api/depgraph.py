# SPDX-License-Identifier: BSD-3-Clause
"""Read a plan from Portage's depgraph: the parts that the other root needs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Planned:
    """A package in a plan."""

    cpv: str
    slot_atom: str
    merges: bool
    """Whether Portage will install it; False for an installed package."""
    asked: bool
    """Whether the call requests this package in its best version."""
    only_dependencies: bool
    """Whether Portage installs only its dependencies (``--onlydeps``)."""
    metadata: Mapping[str, str] | None
    """The metadata of its future binary package; None if no ebuild is built."""
    build_time: str
    """BUILD_TIME of a binary or installed package; empty for an ebuild."""
    installed: Mapping[str, str] | None
    """The metadata that it will have in the VDB; None if it is not merged."""


@dataclass(frozen=True)
class Plan:
    """A plan of Portage; incomplete without :attr:`success`."""

    success: bool
    packages: tuple[Planned, ...]
    host: tuple[Planned, ...]
    """The build host's packages; an installation may need their programs."""
    unsatisfied: tuple[Any, ...]
    """Atoms that no package satisfies, or only masked packages."""

    @property
    def merges(self) -> dict[str, str]:
        """The packages to install, by slot atom."""
        return {package.slot_atom: package.cpv for package in self.packages if package.merges}


def read(graph: Any, *, success: bool, eroot: str, host: str, keys: Iterable[str]) -> Plan:
    """Return the plan of the depgraph ``graph`` for ``eroot`` and for the build host's EROOT.

    ``keys`` are the metadata keys of binary packages.
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
            build_time=str(node._metadata.get("BUILD_TIME", "") or ""),
            installed=_metadata(node, Package.metadata_keys)
            if node.operation == "merge" and not node.onlydeps
            else None,
        )


def _metadata(package: Any, keys: Iterable[str]) -> dict[str, str]:
    keys = frozenset(keys)
    patches = {}
    if "USER_PATCHES" in keys:  # not in Portage 3.0.63
        # Portage rejects a binary package without the user patches that apply to it.
        patches = {"USER_PATCHES": package.root_config.settings.userPatchDigest(package)}
    return {
        **{key: package._metadata.get(key, "") for key in keys},
        **patches,
        "USE": " ".join(sorted(package.use.enabled)),
        "repository": package.repo,
        "BUILD_ID": "",
        "SIZE": "0",
    }


def as_binaries(packages: Iterable[Planned], bintree: Any) -> Any:
    """Return a database of the future binary packages, as if ``bintree`` had them.

    Return None if no package is built. See ``portage.dbapi.virtual.fakedbapi``. The packages
    are newer than installed ones, as ``--rebuilt-binaries`` compares them.
    """
    from portage.dbapi.virtual import fakedbapi

    built = [package for package in packages if package.metadata is not None]
    if not built:
        return None
    database = fakedbapi(settings=bintree.settings)
    database._aux_cache_keys = frozenset(bintree.dbapi._aux_cache_keys)
    database.bintree = bintree  # Portage reads this attribute of binary package databases
    for package in built:
        metadata = {**(package.metadata or {}), "BUILD_TIME": str(int(time.time()))}
        database.cpv_inject(package.cpv, metadata=metadata)
    return database
