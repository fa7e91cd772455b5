# SPDX-License-Identifier: BSD-3-Clause
"""What a call of emerge means for a prefix's two roots.

What is asked for is told apart by Portage's own option parser
(``emerge_calls.parse_options``), after EMERGE_DEFAULT_OPTS have been put in front, so that
short options, their combinations and defaults mean what they mean to emerge.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatcar_prefix.errors import UsageError

WORDS = {"--stage": "staging", "--install": "final", "--staging": "staging", "--final": "final"}
"""First arguments that ask for one root."""


EARLY_ACTIONS = frozenset({"help", "moo", "status"})
"""Actions for which emerge loads no root."""

REPOSITORY_ACTIONS = frozenset({"sync", "regen", "metadata"})
"""Actions on repositories, which both roots share."""

STAGING_ONLY_OPTIONS = ("--fetchonly", "--fetch-all-uri", "--buildpkgonly")
"""Options after which there is nothing to install."""

JUDGED_BY_EBUILDS = (
    "--newuse", "--changed-use", "--reinstall", "--newrepo", "--changed-deps", "--changed-slot",
)  # fmt: skip
"""Options that ask for what no longer fits its ebuild or the USE flags to be built again.
In final, where they would refuse what staging has built just now, they mean nothing:
what was built again replaces what is there (``--rebuilt-binaries``)."""

ROOT_OPTIONS = {
    "--root": "ROOT",
    "--sysroot": "SYSROOT",
    "--prefix": "EPREFIX",
    "--config-root": "PORTAGE_CONFIGROOT",
}


@dataclass(frozen=True)
class Call:
    """A call of the wrapper: which root was asked for, and what is left for emerge."""

    word: str | None
    args: tuple[str, ...]
    defaults: str = ""
    """The caller's EMERGE_DEFAULT_OPTS."""

    @property
    def only(self) -> str | None:
        """The one root that was asked for, or None."""
        return WORDS[self.word] if self.word else None


def split_word(argv: Sequence[str], *, defaults: str = "") -> Call:
    """Return the call, its first argument taken off when that names a root.

    :class:`UsageError` when it stands elsewhere.
    """
    for late in WORDS.keys() & set(argv[1:]):
        raise UsageError(
            f"{late} is not the first argument",
            hint=f"Only there it chooses a root: {late} {shlex.join(a for a in argv if a != late)}",
        )
    word = argv[0] if argv and argv[0] in WORDS else None
    return Call(word, tuple(argv[1:] if word else argv), defaults)


def roots(
    call: Call, action: str | None, opts: Mapping[str, Any], arguments: Sequence[str]
) -> tuple[str, ...]:
    """Return the roots that this call acts on, in order.

    ``action``, ``opts`` and ``arguments`` are what Portage's parser made of it.
    :class:`UsageError` when an option names a root of its own.
    """
    for option, variable in ROOT_OPTIONS.items():
        if option in opts:
            raise UsageError(
                f"{option} cannot be used here: the wrapper sets {variable}",
                hint="Leave it out; --staging or --final as first argument chooses a root.",
            )
    kind = "deselect" if "--deselect" in opts and opts["--deselect"] != "n" else action
    if kind in REPOSITORY_ACTIONS:
        return ("staging",)
    if kind == "search" or "--search" in opts:
        # Final knows binary packages only, and so would not find what can be built.
        return (call.only or "staging",)
    if kind is not None or "--list-sets" in opts:
        return (call.only or "final",)
    if call.only:
        return (call.only,)
    nothing_to_do = not arguments and not resumes(opts)
    if nothing_to_do or any(option in opts for option in STAGING_ONLY_OPTIONS):
        return ("staging",)
    return ("staging", "final")


def resumes(opts: Mapping[str, Any]) -> bool:
    """Return whether the call goes on with an earlier one; ``--skipfirst`` alone does, too."""
    return "--resume" in opts or "--skipfirst" in opts


def build_only_dropped(args: Sequence[str], parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments for final: without what only means something where one builds."""
    extra = ["--ask=n"] if "--ask" in parsed else []
    if "--with-bdeps" in parsed:
        extra.append("--with-bdeps=n")
    return (*args, *extra)
