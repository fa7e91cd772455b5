# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: PTH110
# Paths are strings, as in Portage; importing pathlib takes time.
"""The keywords of the main repository, and their order by its profiles."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

_RANKS = {"stable": 0, "dev": 1, "exp": 2}
_UNRANKED = 99
# The architectures without stable keywords, for a repository without arches.desc (GLEP 72).
_TESTING = frozenset({"alpha", "ia64", "m68k", "mips", "riscv"})


class Arches(NamedTuple):
    """The keywords in display order, and the stable and experimental ones."""

    shown: tuple[str, ...]
    stable: frozenset[str]
    experimental: frozenset[str]


def load_arches(settings: Any, only: list[str], *, prefix: bool) -> Arches:
    """Return the keywords of the main repository, or the keywords in `only`.

    With `prefix`, include the keywords of prefixes.
    """
    profiles = os.path.join(settings.repositories.mainRepoLocation() or "", "profiles")
    known = settings["PORTAGE_ARCHLIST"].split()
    wanted = [keyword for keyword in known if keyword in only] or known
    status = _profile_status(profiles)
    testing = _testing(profiles, [*known, *status])
    shown = [keyword for keyword in wanted if prefix or only or not is_prefix(keyword)]

    def order(keyword: str) -> tuple[bool, bool, int, int, list[str]]:
        # Stable and development profiles have the same rank.
        rank = max(_RANKS.get(status.get(keyword, ""), _UNRANKED) - 1, 0)
        parts = keyword.split("-")
        return is_prefix(keyword), keyword in testing, rank, len(parts), parts[::-1]

    return Arches(
        tuple(sorted(shown, key=order)),
        frozenset(keyword for keyword, rank in status.items() if rank == "stable"),
        frozenset(keyword for keyword, rank in status.items() if rank == "exp"),
    )


def is_prefix(keyword: str) -> bool:
    """Return whether a keyword is for prefixes, such as amd64-linux, but not amd64-fbsd."""
    parts = keyword.split("-")
    return len(parts) > 1 and parts[1] != "fbsd"


def _profile_status(profiles: str) -> dict[str, str]:
    """Return the best status of each architecture's profiles in profiles.desc."""
    status: dict[str, str] = {}
    for words in _lines(os.path.join(profiles, "profiles.desc")):
        if len(words) != 3:
            continue
        arch, _, word = words
        if _RANKS.get(word, _UNRANKED) < _RANKS.get(status.get(arch, ""), _UNRANKED):
            status[arch] = word
    return status


def _testing(profiles: str, known: Iterable[str]) -> set[str]:
    path = os.path.join(profiles, "arches.desc")
    if os.path.exists(path):
        return {words[0] for words in _lines(path) if words[1:2] == ["testing"]}
    return {keyword for keyword in known if keyword in _TESTING or "-" in keyword}


def _lines(path: str) -> Iterable[list[str]]:
    """Yield the words of each line, without comments and empty lines."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.partition("#")[0].split()
                if words:
                    yield words
    except OSError:
        return
