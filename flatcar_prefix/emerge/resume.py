# SPDX-License-Identifier: BSD-3-Clause
"""``--resume`` for two roots: find the root that stopped, and continue in the other one.

Portage keeps a list of the remaining packages in each root's ``mtimedb``. A call that failed
in staging did not start in final. A call that failed in final is complete in staging.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatcar_prefix.emerge import which_roots
from flatcar_prefix.emerge.one_root import OneRoot

LISTS = ("resume", "resume_backup")
"""Portage's lists, the latest first."""

OF_ONE_CALL = frozenset(
    {"--ask", "--color", "--pretend", "--resume", "--skipfirst", "--tree", "--buildpkg"}
)
"""Options that final does not take from the resumed call."""


@dataclass(frozen=True)
class Resumed:
    """An earlier call that ``--resume`` continues."""

    favorites: tuple[str, ...]
    opts: Mapping[str, Any]

    def hand_on(self, staging: OneRoot, final: OneRoot) -> bool:
        """Set the options and packages of ``final`` to its part of the earlier call.

        Options of ``final`` override those of the earlier call. Packages that ``staging``
        skipped are left out. Return False if no package is left.
        """
        old = {k: v for k, v in self.opts.items() if k not in which_roots.JUDGED_BY_EBUILDS}
        opts = {
            **{k: v for k, v in old.items() if k not in OF_ONE_CALL},
            **{
                k: v
                for k, v in final.opts.items()
                if not which_roots.resumes({k: v}) and k != "--ask"
            },
        }
        if "--with-bdeps" in opts:
            opts["--with-bdeps"] = "n"
        left = [word for word in self.favorites if _has(staging, word)]
        final.config.opts, final.config.args = opts, left
        return bool(left)


def stopped(roots: Sequence[OneRoot]) -> OneRoot | None:
    """Return the root in which the latest call stopped; None if no call stopped."""
    for name in LISTS:
        for root in roots:
            if _entry(root, name):
                return root
    return None


def of(one: OneRoot) -> Resumed | None:
    """Return the call that ``--resume`` would continue in this root, or None."""
    entry = _entry(one, LISTS[0]) or _entry(one, LISTS[1])
    if not entry:
        return None
    opts = entry.get("myopts") or {}
    # Old versions of Portage wrote a list; new ones still read it.
    opts = opts if isinstance(opts, dict) else dict.fromkeys(opts, True)
    return Resumed(tuple(map(str, entry.get("favorites") or ())), opts)


def _entry(one: OneRoot, name: str) -> dict[str, Any]:
    entry = one.config.target_config.mtimedb.get(name)
    return entry if isinstance(entry, dict) and entry.get("mergelist") else {}


def _has(one: OneRoot, word: str) -> bool:
    """Return whether ``word`` is a set, or an atom of an installed or planned package."""
    from portage.dep import Atom, match_from_list

    if word.startswith("@"):
        return True
    atom = Atom(word, allow_repo=True)
    built = one.plan.merges.values() if one.plan is not None else ()
    return bool(one.vardb.match(atom) or match_from_list(atom.cp, list(built)))
