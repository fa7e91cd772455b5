# SPDX-License-Identifier: BSD-3-Clause
"""Parts that the ebuilds of all kinds share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flatcar_prefix.image.spdx_licences import SPDX
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.recipe.distfiles import Distfile
from flatcar_prefix.recipe.model import Software
from flatcar_prefix.system.progress import Progress

CATEGORY = "recipe"

UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True)
class Place:
    """The prefix that receives the software."""

    prefix: Prefix
    say: Progress

    @property
    def board(self) -> str:
        return self.prefix.board.name

    def has(self, package: str) -> bool:
        """Return whether a repository of the prefix has a package that is not masked."""
        return bool(self.prefix.staging.portdb.xmatch("bestmatch-visible", package))


def quoted(text: str) -> str:
    """Return ``text`` for a shell's double quotes, in one line."""
    return re.sub(r'([\\"`$])', r"\\\1", " ".join(text.split()))


def licence(text: str) -> str:
    """Return the words of LICENSE for one licence, which has Gentoo's name or SPDX's."""
    by_spdx = {name: gentoo for gentoo, name in reversed(list(SPDX.items()))}
    word = by_spdx.get(text, text)
    word = re.sub(r"[^A-Za-z0-9+_.-]+", "-", word).strip("-.+")
    return word or UNKNOWN_LICENCE


def block(name: str, words: Iterable[str]) -> str:
    """Return an assignment with a word on each line."""
    lines = "".join(f"\t{word}\n" for word in dict.fromkeys(words))
    return f'{name}="\n{lines}"\n' if lines else ""


def head(
    software: Software,
    *,
    distfiles: Sequence[Distfile] = (),
    origin: str = "",
    restrict: Iterable[str] = (),
    rdepend: Iterable[str] = (),
    depend: Iterable[str] = (),
    more: str = "",
) -> str:
    """Return the variables of the ebuild."""
    restricted = [*restrict]
    if any(not file.uri for file in distfiles):
        restricted.append("fetch")
    description = software.text("description", f"{software.name}, from a recipe")
    homepage = software.text("homepage")
    lines = [
        f'\nDESCRIPTION="{quoted(description)}"\n',
        f'HOMEPAGE="{quoted(homepage)}"\n' if homepage else "",
        f'SRC_URI="{" ".join(file.src_uri for file in distfiles)}"\n' if distfiles else "",
        f"# The source: {origin}\n" if origin else "",
        'S="${WORKDIR}"\n' if "S=" not in more else "",
        more,
        f'\nLICENSE="{licence(software.text("license"))}"\n',
        'SLOT="0"\nKEYWORDS="amd64 arm64"\n',
        f'RESTRICT="{" ".join(dict.fromkeys(restricted))}"\n' if restricted else "",
        "\n" if depend or rdepend else "",
        block("DEPEND", depend),
        block("RDEPEND", rdepend),
    ]
    return "".join(lines)


def nofetch(distfiles: Sequence[Distfile]) -> str:
    """Return pkg_nofetch for local files, which a build copies to DISTDIR."""
    if all(file.uri for file in distfiles):
        return ""
    return (
        "\npkg_nofetch() {\n"
        '\teinfo "This is a local file: run flatcar-prefix build with the recipe again."\n}\n'
    )
