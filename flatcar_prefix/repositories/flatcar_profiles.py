# SPDX-License-Identifier: BSD-3-Clause
"""What Flatcar's own profiles decide for a prefix.

The profiles describe images and the SDK. From them come masks, keywords, Python versions, mirrors,
the USE flags that are turned off, and the packages that Flatcar's systems do without.
``docs/real-trees.md`` has the rules.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories.checkout_files import (
    current_names,
    files_of,
    lines_of,
    overlay_of,
    text_of,
)
from flatcar_prefix.system.own_files import FROM

BASE_PROFILE = "profiles/coreos/base"
"""The base profile of all Flatcar systems, in the overlay of Flatcar's packages."""

TARGETS = ("profiles/coreos/targets/generic", "profiles/coreos/targets/sdk")
"""The profiles of Flatcar's images and of its SDK, in the overlay of Flatcar's packages."""

LEAVING_OUT = (BASE_PROFILE, TARGETS[0])
"""The profiles whose package.provided lists packages that Flatcar's systems do without."""

NOT_OF_A_PREFIX = frozenset(
    {
        "app-doc/info-manual",
        "net-mail/mailbase",
        "sys-fs/udev-init-scripts",
        "virtual/mta",
    }
)
"""Packages that no program in a prefix uses: documents, mail delivery and system start-up."""

CHOSEN_VERSIONS = ("PYTHON_TARGETS", "PYTHON_SINGLE_TARGET")
"""Variables that choose versions for all packages."""

DESCRIPTIONS = "profiles/desc/python_single_target.desc"
"""The file that describes the values of PYTHON_SINGLE_TARGET in Gentoo's repository."""

OF_BASE_PROFILE = (
    "package.accept_keywords",
    "package.mask",
    "package.unmask",
    "package.use",
    "package.use.force",
    "package.use.mask",
    "use.mask",
)
"""The files of the base profile that apply to a prefix. They go to the user's profile, below
package.use, so flags that a prefix turns off for all packages stay off. The other files
describe an image: its @system, its users, and what its build leaves out."""


def files(repositories: Sequence[Repository]) -> dict[str, str]:
    """Return the files to write below a root's ``etc/portage``, by path; often none."""
    overlay = overlay_of(repositories, "flatcar-overlay")
    if overlay is None:
        return {}
    return _of_base_profile(overlay.location, repositories) | _of_targets(
        overlay.location, current_names(repositories)
    )


def _of_base_profile(overlay: Path, repositories: Sequence[Repository]) -> dict[str, str]:
    """Return the files that apply the base profile, in Flatcar's ``overlay``."""
    names, found = current_names(repositories), {}
    for kind in OF_BASE_PROFILE:
        for path in files_of(overlay / BASE_PROFILE / kind):
            text = text_of(path, names)
            if kind == "package.mask":
                text = masks_without(text, _replaced(repositories))
            if kind == "use.mask":
                text = _without_versions(text)
            found[f"profile/{kind}/00-base-{path.name}"] = text
    if licences := _defaults(repositories).get("ACCEPT_LICENSE", "").split():
        # ACCEPT_LICENSE of make.defaults would replace Portage's own default.
        path = overlay / BASE_PROFILE / "make.defaults"
        text = f"{FROM}{os.fspath(path)}\n*/* {' '.join(licences)}\n"
        found["package.license/00-base-make.defaults"] = text
    return found


def _of_targets(overlay: Path, names: Mapping[str, str]) -> dict[str, str]:
    """Return the files with the USE flags of packages that Flatcar's targets turn off."""
    return {
        f"profile/package.use/01-{os.path.basename(place)}-{path.name}": turned_off(
            text_of(path, names)
        )
        for place in TARGETS
        for path in files_of(overlay / place / "package.use")
    }


def turned_off(text: str) -> str:
    """Return the text of package.use with the flags that it turns off, without all others.

    A word that ends with a colon names the USE_EXPAND variable of the following flags.
    """
    kept = []
    for line in text.splitlines():
        atom, *flags = line.partition("#")[0].split() or [""]
        words = [word for word in flags if word.startswith("-") or word.endswith(":")]
        if any(word.startswith("-") for word in words):
            kept.append(" ".join((atom, *words)))
        elif line.startswith(FROM):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


_OF_VERSIONS = tuple(f"-{name.lower()}_" for name in CHOSEN_VERSIONS)


def _without_versions(text: str) -> str:
    """Return the text of use.mask without the masks of Python versions.

    :func:`variables` chooses these, and the build host uses the machine's.
    """
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not f"-{line.lstrip('-')}".startswith(_OF_VERSIONS))


def _replaced(repositories: Sequence[Repository]) -> frozenset[str]:
    """Return the packages of the prefix overlay, which replace those that an image uses."""
    overlay = overlay_of(repositories, "prefix-overlay")
    if overlay is None:
        return frozenset()
    ebuilds = overlay.location.glob("*/*/*.ebuild")
    return frozenset("/".join(ebuild.parent.parts[-2:]) for ebuild in ebuilds)


def masks_without(text: str, names: Container[str]) -> str:
    """Return the text of package.mask without the masks of the packages ``names``."""
    from portage.dep import dep_getkey

    lines = text.splitlines(keepends=True)
    return "".join(
        line
        for line in lines
        if not (word := line.partition("#")[0].strip()) or dep_getkey(word) not in names
    )


def variables(repositories: Sequence[Repository]) -> dict[str, str]:
    """Return the variables of the base profile's make.defaults that apply to a prefix.

    These are the chosen Python versions and the USE flags that are turned off. Flags that are
    turned on and all other variables describe an image or the format of its packages. For the
    accepted licences see :func:`files`.
    """
    defaults = _defaults(repositories)
    use = defaults.get("USE", "").split()
    found = {name: _chosen(name, defaults.get(name, ""), use) for name in CHOSEN_VERSIONS}
    off = [flag for flag in use if flag.startswith("-") and not flag.startswith(_OF_VERSIONS)]
    found |= {"USE": " ".join(off)}
    return {name: value for name, value in found.items() if value}


def python_targets(repositories: Sequence[Repository], machine: str) -> dict[str, str]:
    """Return the Python versions of build tools; ``machine`` is the machine's, ``python3_N``.

    Packages for the prefix's Python need build tools for the same Python. One Python is enough
    for the other tools: the machine's, unless the eclasses do not support that version.
    """
    chosen = variables(repositories)
    targets = chosen.get("PYTHON_TARGETS", "").split()
    supported = supported_pythons(repositories)
    if supported and machine not in supported and targets:
        single = chosen.get("PYTHON_SINGLE_TARGET") or targets[0]
    else:
        single = machine
    return {
        "PYTHON_TARGETS": " ".join(dict.fromkeys((single, *targets))),
        "PYTHON_SINGLE_TARGET": single,
    }


def supported_pythons(repositories: Sequence[Repository]) -> frozenset[str]:
    """Return the names that the repositories describe as values of PYTHON_SINGLE_TARGET.

    The eclasses die for every other value. The set is empty if no repository has descriptions.
    """
    return frozenset(
        line.split()[0]
        for repository in repositories
        if (path := repository.location / DESCRIPTIONS).is_file()
        for line in path.read_text(errors="replace").splitlines()
        if line.strip() and not line.startswith("#")
    )


def mirrors(repositories: Sequence[Repository]) -> str:
    """Return GENTOO_MIRRORS of the base profile; empty without one, so Portage uses none."""
    return " ".join(_defaults(repositories).get("GENTOO_MIRRORS", "").split())


def _defaults(repositories: Sequence[Repository]) -> Mapping[str, str]:
    """Return the base profile's make.defaults, without the values of its parents."""
    overlay = overlay_of(repositories, "flatcar-overlay")
    path = overlay.location / BASE_PROFILE / "make.defaults" if overlay else None
    if path is None or not path.is_file():
        return {}
    from portage.util import getconfig

    # USE and others refer to the values of the parent profiles.
    known: defaultdict[str, str] = defaultdict(str)
    return getconfig(os.fspath(path), tolerant=True, expand=known) or {}


def _chosen(name: str, value: str, use: Sequence[str]) -> str:
    """Return the chosen words of a USE_EXPAND variable, which may be spelled out in USE.

    make.conf takes no words with a minus in it.
    """
    prefix = f"{name.lower()}_"
    spelled = [flag.removeprefix(prefix) for flag in use if flag.startswith(prefix)]
    return " ".join(word for word in value.split() or spelled if not word.startswith("-"))


def left_out(repositories: Sequence[Repository]) -> tuple[str, ...]:
    """Return the packages, ``category/name-version``, that the checkout leaves out.

    Its profiles declare them as provided, and no repository contains them. Flatcar's patches and
    hooks make its packages work without them, and a prefix applies both.
    """
    overlay = overlay_of(repositories, "flatcar-overlay")
    if overlay is None:
        return ()
    named = (
        cpv
        for profile in LEAVING_OUT
        for cpv in lines_of(overlay.location / profile / "package.provided")
    )
    return tuple(cpv for cpv in dict.fromkeys(named) if not _is_there(cpv, repositories))


def _is_there(cpv: str, repositories: Sequence[Repository]) -> bool:
    return any((repository.location / _key(cpv)).is_dir() for repository in repositories)


def _key(cpv: str) -> str:
    from portage.versions import cpv_getkey

    return cpv_getkey(cpv) or cpv
