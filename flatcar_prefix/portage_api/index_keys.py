# SPDX-License-Identifier: BSD-3-Clause
"""Further keys in the index of binary packages, the file ``Packages`` of PKGDIR.

Portage writes a fixed list of metadata into this index and ignores other keys when it reads
one. A consumer knows a remote package only by its index before it fetches the package. It
needs the EPREFIX and the description of the build to decide whether the package fits. The list
is a private attribute of ``bindbapi`` from Portage 3.0.63 to 3.0.83, and has no public call.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

EPREFIX = "EPREFIX"
"""The EPREFIX that the package was built for. Portage writes it into each package."""

BUILD = "FLATCAR_PREFIX_BUILD"
"""The description of the build, see :mod:`flatcar_prefix.binhost.identity`."""

FIXED = "FLATCAR_PREFIX_FIXED"
"""Why the package works at the EPREFIX of its build only; empty for all others."""

KEYS = (EPREFIX, BUILD, FIXED)


def install() -> None:
    """Add the keys to all binary package databases of this process. A second call does nothing."""
    from portage.dbapi import bintree

    if getattr(bintree.binarytree.__init__, "adds_keys", False):
        return
    for owner, add in ((bintree.bindbapi, _add_keys), (bintree.binarytree, _add_defaults)):
        owner.__init__ = _followed(owner.__init__, add)


def install_in_emerge() -> None:
    """Add the keys, and let packages of a plan be made from metadata that has them."""
    from _emerge import Package

    install()
    kind = Package._PackageMetadataWrapperBase
    if getattr(kind.update, "drops_keys", False):
        return
    original = kind.update

    def update(self: Any, *values: Any, **more: Any) -> None:
        # The depgraph passes all keys of the database, and the class knows only Portage's.
        known = {k: v for each in values for k, v in dict(each).items() if k not in KEYS}
        original(self, known, **more)

    update.drops_keys = True  # type: ignore[attr-defined]
    kind.update = update


def _followed(original: Callable[..., None], add: Callable[[Any], None]) -> Callable[..., None]:
    """Return the initialiser ``original`` that calls ``add`` with the object afterwards."""

    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        add(self)

    initialise.adds_keys = True  # type: ignore[attr-defined]
    return initialise


def _add_keys(database: Any) -> None:
    database._aux_cache_keys.update(KEYS)


def _add_defaults(bintree: Any) -> None:
    # An index does not contain empty values, and Portage reads all keys of the database. EPREFIX
    # is never empty: an entry without it has lost its keys, and Portage reads the package again.
    bintree._pkgindex_default_pkg_data.update(dict.fromkeys((BUILD, FIXED), ""))


def is_outdated(pkgdir: Path) -> bool:
    """Return whether the index of ``pkgdir`` lacks the keys, or names a file that does not exist.

    Another program wrote the index, or removed a package. Each package has an EPREFIX, so an entry
    without one has lost its keys.
    """
    packages = prefixes = 0
    try:
        with (pkgdir / "Packages").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.rstrip("\n").partition(": ")
                packages += key == "CPV"
                prefixes += key == EPREFIX
                if key == "PATH" and not (pkgdir / value).exists():
                    return True
    except OSError:
        return False
    return prefixes < packages
