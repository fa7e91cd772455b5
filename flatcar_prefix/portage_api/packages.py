# SPDX-License-Identifier: BSD-3-Clause
"""Packages, sets and file owners where Portage has no public call.

All names are the same in Portage 3.0.63 to 3.0.83.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def package(cpv: str, **attributes: Any) -> Any:
    """Return ``cpv`` as the string class that Portage's databases return.

    ``attributes`` are ``slot`` and ``repo``. Raise ``portage.exception.InvalidData`` if
    ``cpv`` is not valid. The class has no public name, and ``match_from_list`` compares slots
    and repositories of its instances only.
    """
    from portage.versions import _pkg_str

    return _pkg_str(cpv, **attributes)


def target(trees: Any) -> Any:
    """Return the target root's entry in the result of ``portage.create_trees``.

    The key of that root is a private attribute.
    """
    return trees[trees._target_eroot]


def set_atoms(trees: Any, name: str) -> list[Any] | None:
    """Return the atoms of a package set of the root of ``trees``; None for an unknown set.

    ``portage._sets`` is the only home of package sets.
    """
    from portage._sets import PackageSetNotFound, load_default_config

    sets = load_default_config(trees["vartree"].settings, trees)
    try:
        return list(sets.getSetAtoms(name))
    except PackageSetNotFound:
        return None


def installed_database(eroot: Path) -> Any:
    """Return the ``vardbapi`` of a root whose configuration is not loaded, to read fields.

    ``vardbapi`` reads the two variables below, and loads the build host's trees if it gets no
    ``vartree``.
    """
    from flatcar_prefix.portage_api.session import import_portage

    import_portage()
    from portage.dbapi.vartree import vardbapi

    where = f"{eroot}/"
    return vardbapi(settings={"ROOT": where, "EROOT": where}, vartree=object())


def owners_database(vardb: Any) -> Any:
    """Return the database of file owners that ``portageq owners`` asks.

    It is a private attribute of ``vardbapi``, which has no public query for several files.
    """
    return vardb._owners


def colour_codes(config_root: str) -> Any:
    """Return the escape sequences of Portage's colours, with those of a root's color.map.

    ``portage.output`` reads color.map for one root only, with a private call.
    """
    from portage import output

    output._init(config_root=config_root)
    return output.codes
