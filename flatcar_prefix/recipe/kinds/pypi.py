# SPDX-License-Identifier: BSD-3-Clause
"""``kind = "pypi"``: applications from PyPI. Each distribution becomes a separate package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.recipe.distfiles import Distfile, sha256
from flatcar_prefix.recipe.kinds.common import CATEGORY, Place, block, head, licence, quoted
from flatcar_prefix.recipe.model import Software
from flatcar_prefix.recipe.overlay import Package
from flatcar_prefix.recipe.pypi_lock import Locked, Target, download, licence_of, locked
from flatcar_prefix.recipe.versions import from_pep440

PYPI = "pypi"
"""The category of distributions."""

BUNDLED = frozenset({"pip", "setuptools"})
"""The distributions that the included dev-lang/python installs itself."""

LICENCES: Mapping[str, str] = MappingProxyType(
    {
        "Apache Software License": "Apache-2.0",
        "Apache 2.0": "Apache-2.0",
        "Apache License 2.0": "Apache-2.0",
        "BSD License": "BSD",
        "ISC License (ISCL)": "ISC",
        "MIT License": "MIT",
        "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
        "PSFL": "PSF-2",
        "Python Software Foundation License": "PSF-2",
        "The Unlicense (Unlicense)": "Unlicense",
    }
)
"""Gentoo's names for licence names in metadata that are not SPDX's."""


def packages(softwares: Sequence[Software], place: Place, *, anew: bool) -> list[Package]:
    """Return the packages of all software of this kind, resolved together.

    They share one site-packages directory, which holds one version of each distribution.
    """
    if not softwares:
        return []
    first = softwares[0]
    target = _target(first, place)
    requirements = sorted({text for each in softwares for text in requirements_of(each)})
    try:
        everything = locked(first.recipe.file, requirements, target, anew=anew, say=place.say)
    except PrefixError as error:
        raise first.error("requirements", str(error), hint=error.hint) from error
    distributions = [_distribution(one, target, place) for one in everything]
    names = {one.name: one for one in everything}
    return [*distributions, *(_application(each, names, target) for each in softwares)]


def requirements_of(software: Software) -> tuple[str, ...]:
    """Return the requirements for pip."""
    return software.words("requirements") or (software.name,)


def _target(software: Software, place: Place) -> Target:
    portdb = place.prefix.staging.portdb
    cpv = portdb.xmatch("bestmatch-visible", "dev-lang/python")
    if not cpv:
        names = ", ".join(r.name for r in place.prefix.repositories)
        raise software.error(
            "kind", f"no repository has dev-lang/python (looked into: {names})",
            hint="Add an overlay that has it.",
        )  # fmt: skip
    ebuild = Path(portdb.findname(cpv))
    # The embedded ebuild installs pip and setuptools, by this script.
    bundled = BUNDLED if (ebuild.parent / "files/install_wheels.py").exists() else frozenset()
    return Target(place.prefix.board, portdb.aux_get(cpv, ["SLOT"])[0].partition("/")[0], bundled)


def _distribution(one: Locked, target: Target, place: Place) -> Package:
    version = from_pep440(one.version)
    file = _bring(one, target, place.prefix.distdir, place)
    needs = [f"dev-lang/python:{target.version}", *(f"{PYPI}/{name}" for name in one.requires)]
    text = (
        f"\nWHEEL_PYTHON={target.version}\ninherit flatcar-prefix-wheel\n"
        f'\nDESCRIPTION="{quoted(one.summary or one.name)}"\n'
        + (f'HOMEPAGE="{quoted(one.homepage)}"\n' if one.homepage else "")
        + f'SRC_URI="{file.src_uri}"\n'
        f"# {one.file}, SHA-256 {one.sha256}\n"
        f'\nLICENSE="{_licence_words(one.licence or licence_of(file.path))}"\n'
        'SLOT="0"\nKEYWORDS="amd64 arm64"\n'
        'QA_PREBUILT="*"\n'
        + ("" if file.uri else 'RESTRICT="strip fetch"\n')
        + "\n"
        + block("RDEPEND", needs)
    )
    return Package(PYPI, one.name, version, text, (file,))


def _bring(one: Locked, target: Target, distdir: Path, place: Place) -> Distfile:
    """Return the wheel in DISTDIR, under a name that the checksum is part of."""
    distdir.mkdir(parents=True, exist_ok=True)
    wanted = distdir / f"{one.name}-{one.version}-{one.sha256[:12]}.whl"
    if not wanted.exists():
        place.say(f"fetching {one.file}")
        download(one, distdir, target.version).replace(wanted)
    if one.is_wheel and sha256(wanted) != one.sha256:
        raise PrefixError(
            f"{wanted} has another SHA-256 than the lock file says",
            hint=f"Remove {wanted}, then run the same command again.",
        )
    return Distfile(wanted, one.sha256, one.url if one.is_wheel else "")


def _licence_words(text: str) -> str:
    if " AND " in text or " OR " in text:
        words = [licence(LICENCES.get(w, w)) for w in text.replace(" OR ", " AND ").split(" AND ")]
        return (
            f"|| ( {' '.join(words)} )"
            if " OR " in text and " AND " not in text
            else " ".join(words)
        )
    return licence(LICENCES.get(text, text))


def _application(software: Software, names: Mapping[str, Locked], target: Target) -> Package:
    """Return the package of one ``[[software]]`` table."""
    wanted = [canonicalize_name(Requirement(r).name) for r in requirements_of(software)]
    main = names.get(wanted[0])
    version = from_pep440(main.version) if main else "1"
    needs = [f"{PYPI}/{name}" for name in wanted if name in names]
    return Package(
        CATEGORY,
        software.name,
        version,
        head(software, rdepend=[*needs, *software.words("depends")]),
    )
