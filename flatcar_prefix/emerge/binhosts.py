# SPDX-License-Identifier: BSD-3-Clause
"""Which binary packages staging takes from binhosts, and what the user learns about the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from flatcar_prefix.binhost import identity
from flatcar_prefix.emerge import unfinished
from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.portage_api import binhosts, index_keys
from flatcar_prefix.portage_api.binhosts import Candidate
from flatcar_prefix.portage_api.depgraph import Plan
from flatcar_prefix.system import messages

NAMES = (
    *identity.VARIABLES, "EPREFIX", "ROOT", "ESYSROOT", "PORTAGE_CONFIGROOT",
    "FLATCAR_PREFIX_TOOLCHAIN_VERSION", "FLATCAR_PREFIX_LIBC", "FLATCAR_PREFIX_PROFILE",
    "FLATCAR_PREFIX_STAGING", "FLATCAR_PREFIX_BOARD_HOOKS",
)  # fmt: skip
"""The variables that a description reads."""


class Chooser:
    """Decides about each binary package of a run in staging."""

    def __init__(self, one: OneRoot) -> None:
        self._one = one
        self._killed_since = unfinished.killed_since(one.root.prefix)
        self._expected: dict[str, Mapping[str, str] | None] = {}
        self.unfit: dict[str, str] = {}
        """Why packages of binhosts do not fit, by cpv."""
        self.taken: set[str] = set()

    def accepts(self, bintree: Any, candidate: Candidate) -> bool:
        """Return whether staging may use a package; one that was built here is built again."""
        eprefix = candidate.metadata[index_keys.EPREFIX]
        own = eprefix == self._one.root.prefix.eprefix
        if own and not candidate.remote:
            return self._killed_since is not None and unfinished.is_fresh(
                bintree, self._one.vardb, candidate.package, self._killed_since
            )
        cpv = str(candidate.package)
        if reason := self._objection(cpv, eprefix, candidate.metadata):
            self.unfit[cpv] = reason
            return False
        self.unfit.pop(cpv, None)
        self.taken.add(cpv)
        return True

    def _objection(self, cpv: str, eprefix: str, metadata: Mapping[str, str]) -> str:
        own = self._one.root.prefix.eprefix
        if len(eprefix) < len(own):
            return f"its path {eprefix or '/'} is shorter than {own}" if eprefix else "no EPREFIX"
        if eprefix != own and (fixed := metadata[index_keys.FIXED]):
            return f"it cannot be moved: {fixed}"
        if not metadata[index_keys.BUILD]:
            return "it does not say how it was built"
        theirs = identity.parse(metadata[index_keys.BUILD])
        if found := identity.differences(theirs, self._of_root):
            return "; ".join(found)
        ours = self._ours(cpv)
        if ours is None:
            return "no repository has its ebuild"
        return "; ".join(identity.differences(theirs, ours))

    @cached_property
    def _of_root(self) -> Mapping[str, str]:
        settings = self._one.settings
        return identity.of_root({name: settings.get(name, "") for name in NAMES})

    def _ours(self, cpv: str) -> Mapping[str, str] | None:
        """Return the description of the build that this prefix would make, or ``None``."""
        if cpv not in self._expected:
            self._expected[cpv] = self._describe(cpv)
        return self._expected[cpv]

    def _describe(self, cpv: str) -> Mapping[str, str] | None:
        from portage.exception import PortageException
        from portage.versions import catpkgsplit

        portdb = self._one.portdb
        try:
            ebuild = portdb.findname(cpv)
            if not ebuild:
                return None
            (slot,) = portdb.aux_get(cpv, ["SLOT"])
            distfiles = frozenset(portdb.getFetchMap(cpv))
            category, name, version, revision = catpkgsplit(cpv)
            package = identity.Package(
                category, name, version, revision, slot, Path(ebuild), distfiles
            )
            return identity.describe(self._variables(cpv), package)
        except (PortageException, KeyError, OSError):
            return None

    def _variables(self, cpv: str) -> Mapping[str, str]:
        """Return the variables that a build of ``cpv`` would have, with those of package.env."""
        self._settings.setcpv(cpv, mydb=self._one.portdb)
        return {name: self._settings.get(name, "") for name in NAMES}

    @cached_property
    def _settings(self) -> Any:
        """A copy of staging's settings, because those of one package are set in it."""
        import portage

        return portage.config(clone=self._one.settings)


def are_used(one: OneRoot) -> bool:
    """Return whether the run may fetch binary packages."""
    option = one.opts.get("--getbinpkg", "getbinpkg" in one.settings.features)
    return one.action is None and one.root.kind == "staging" and option is not False


@contextmanager
def used(one: OneRoot) -> Iterator[Chooser]:
    """Within, a run of emerge in staging takes fitting packages of binhosts only."""
    chooser = Chooser(one)

    def before_fetch(number: int, size: int) -> None:
        if "--quiet" not in one.opts:
            packages = "1 binary package" if number == 1 else f"{number} binary packages"
            messages.info(f"fetching and verifying {packages}, {size / 2**20:.1f} MiB")

    run = binhosts.Run(
        eroot=one.settings["EROOT"],
        config_root=one.settings["PORTAGE_CONFIGROOT"],
        keys=index_keys.KEYS,
        accepts=chooser.accepts,
        before_fetch=before_fetch,
        verify=one.root.prefix.verify_binhosts,
    )
    with binhosts.watched(run):
        yield chooser
    for cpv, reason in run.refused.items():
        log = Path(one.settings.get("EMERGE_LOG_DIR", ""), "emerge-fetch.log")
        why = reason or f"it was not fetched, or does not match the index; the log is {log}"
        messages.error(f"the binary package {cpv} was refused: {why}")
    if run.refused:
        messages.hint(_what_to_do(one, "; ".join(run.refused.values())))


def _what_to_do(one: OneRoot, reasons: str) -> str:
    prefix = one.root.prefix
    uris = " ".join(binhost.uri for binhost in prefix.binhosts)
    if "the key" in reasons:
        return (
            "Get the publisher's key and check its fingerprint, then: flatcar-prefix binhost"
            f" {prefix.id} add {uris} --binhost-key=FILE"
        )
    return (
        f"Tell the publisher of {uris}; to build from source instead, add --getbinpkg=n to the"
        " command."
    )


def tell_unfit(one: OneRoot, chooser: Chooser, plan: Plan) -> None:
    """Say why the plan builds packages that a binhost has."""
    if "--quiet" in one.opts:
        return
    for package in plan.packages:
        reason = chooser.unfit.get(package.cpv)
        if package.merges and reason and package.cpv not in chooser.taken and package.metadata:
            messages.info(f"{package.cpv} is built from source; the binary package: {reason}")
