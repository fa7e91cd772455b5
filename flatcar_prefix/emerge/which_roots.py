# SPDX-License-Identifier: BSD-3-Clause
"""Choose the roots that a call of emerge acts on.

Portage's own option parser (``emerge_calls.parse_options``) reads EMERGE_DEFAULT_OPTS and the
arguments. Short options, their combinations and defaults therefore have emerge's meaning.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatcar_prefix.errors import UsageError

WORDS = {"--stage": "staging", "--install": "final", "--staging": "staging", "--final": "final"}
"""First arguments that choose one root."""


EARLY_ACTIONS = frozenset({"help", "moo", "status"})
"""Actions for which emerge loads no root."""

REPOSITORY_ACTIONS = frozenset({"sync", "regen", "metadata"})
"""Actions on repositories, which both roots share."""

STAGING_ONLY_OPTIONS = ("--fetchonly", "--fetch-all-uri", "--buildpkgonly")
"""Options with which emerge installs nothing."""

JUDGED_BY_EBUILDS = (
    "--newuse", "--changed-use", "--reinstall", "--newrepo", "--changed-deps", "--changed-slot",
    "--usepkg-exclude", "--usepkg-include", "--usepkg-exclude-live",
)  # fmt: skip
"""Options that rebuild packages which no longer match their ebuild or the USE flags, or that
build packages instead of using binary packages.
Final ignores them, because with them Portage would reject staging's new binary packages.
``--rebuilt-binaries`` installs rebuilt packages in final."""

FROM_BINHOSTS = ("--getbinpkg", "--getbinpkgonly", "--getbinpkg-exclude", "--getbinpkg-include")
"""Options that final ignores: it installs the packages that staging has built or fetched."""

ALWAYS_IN_FINAL = {"--usepkg": True, "--usepkgonly": True, "--getbinpkg": False}
"""Options of final that no argument turns off: final never builds."""

ROOT_OPTIONS = {
    "--root": "ROOT",
    "--sysroot": "SYSROOT",
    "--prefix": "EPREFIX",
    "--config-root": "PORTAGE_CONFIGROOT",
}


@dataclass(frozen=True)
class Call:
    """A call of the wrapper: the word that chooses a root, and the arguments for emerge."""

    word: str | None
    args: tuple[str, ...]
    defaults: str = ""
    """The caller's EMERGE_DEFAULT_OPTS."""

    @property
    def only(self) -> str | None:
        """The one root that the call chooses, or None."""
        return WORDS[self.word] if self.word else None


def split_word(argv: Sequence[str], *, defaults: str = "") -> Call:
    """Return the call, without its first argument if that chooses a root.

    Raise :class:`UsageError` if a later argument chooses a root.
    """
    for late in WORDS.keys() & set(argv[1:]):
        raise UsageError(
            f"{late} is not the first argument",
            hint=f"Put it first: {late} {shlex.join(a for a in argv if a != late)}",
        )
    word = argv[0] if argv and argv[0] in WORDS else None
    return Call(word, tuple(argv[1:] if word else argv), defaults)


def roots(
    call: Call, action: str | None, opts: Mapping[str, Any], arguments: Sequence[str]
) -> tuple[str, ...]:
    """Return the roots that this call acts on, in order.

    ``action``, ``opts`` and ``arguments`` are the result of Portage's parser.
    Raise :class:`UsageError` if an option sets another root.
    """
    for option, variable in ROOT_OPTIONS.items():
        if option in opts:
            raise UsageError(
                f"{option} cannot be used here: the wrapper sets {variable}",
                hint=f"Omit {option}; the first argument --staging or --final chooses a root.",
            )
    kind = "deselect" if "--deselect" in opts and opts["--deselect"] != "n" else action
    if kind in REPOSITORY_ACTIONS:
        return ("staging",)
    if kind == "search" or "--search" in opts:
        # Final searches binary packages only, not the packages that staging can build.
        return (call.only or "staging",)
    if kind is not None or "--list-sets" in opts:
        return (call.only or "final",)
    if call.only:
        return (call.only,)
    nothing_to_do = not arguments and not resumes(opts)
    if nothing_to_do or any(option in opts for option in STAGING_ONLY_OPTIONS):
        return ("staging",)
    return ("staging", "final")


def building_all(opts: dict[str, Any]) -> list[str]:
    """Let staging build a binary package of each package, for final; return the omitted options."""
    dropped = ["--buildpkg=n"] if opts.get("--buildpkg") == "n" else []
    dropped += ["--buildpkg-exclude"] if opts.pop("--buildpkg-exclude", None) else []
    opts["--buildpkg"] = True
    return dropped


def resumes(opts: Mapping[str, Any]) -> bool:
    """Return whether the call continues an earlier one; ``--skipfirst`` alone also does."""
    return "--resume" in opts or "--skipfirst" in opts


def build_only_dropped(args: Sequence[str], parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments for final; turn ``--ask`` and ``--with-bdeps`` off."""
    extra = ["--ask=n"] if "--ask" in parsed else []
    if "--with-bdeps" in parsed:
        extra.append("--with-bdeps=n")
    return (*args, *extra)
