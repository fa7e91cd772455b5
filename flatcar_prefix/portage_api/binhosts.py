# SPDX-License-Identifier: BSD-3-Clause
"""Hooks into Portage's use of remote binary packages, for one run of emerge.

Portage has no public call that leaves a binary package out of a plan, or that fetches and
verifies all packages of a plan before it installs the first one. All names are the same in
Portage 3.0.63 to 3.0.83.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flatcar_prefix.portage_api.emerge_hooks import replaced

COMPARED = (
    "CHOST", "DEPEND", "BDEPEND", "RDEPEND", "PDEPEND", "IDEPEND", "EAPI", "IUSE", "KEYWORDS",
    "LICENSE", "PROPERTIES", "RESTRICT", "SLOT", "USE", "BUILD_TIME", "repository",
)  # fmt: skip
"""Metadata that a plan reads in the index, and that the package must have, too."""

AT_ONCE = 4
"""The number of packages that are fetched at once."""


@dataclass(frozen=True)
class Candidate:
    """A binary package that a plan could use."""

    package: Any
    """The ``portage.versions._pkg_str``."""
    remote: bool
    """Whether a binhost lists it."""
    metadata: Mapping[str, str]


@dataclass
class Run:
    """The callbacks and the results of one run of emerge."""

    eroot: str
    config_root: str
    keys: tuple[str, ...]
    """Metadata of candidates to read."""
    accepts: Callable[[Any, Candidate], bool]
    """Called with the ``binarytree`` and a candidate."""
    before_fetch: Callable[[int, int], None]
    """Called with the number of packages to fetch, and their size in bytes."""
    verify: bool
    """Whether each remote package must have a signature."""
    refused: dict[str, str] = field(default_factory=dict)
    """The reason, by the package that could not be fetched or verified."""
    fetched: set[Any] = field(default_factory=set)
    """The keys of packages in PKGDIR that a binhost lists, too."""


@contextmanager
def watched(run: Run) -> Iterator[None]:
    """Within, emerge uses only accepted binary packages, and verifies them before it installs."""
    from _emerge.Scheduler import Scheduler
    from portage.dbapi import bintree

    tree = bintree.binarytree
    with ExitStack() as stack:
        stack.enter_context(
            replaced(bintree, "BinRepoConfigLoader", _own_config(bintree.BinRepoConfigLoader, run))
        )
        remote = _with_fetched(tree._populate_remote, run)
        stack.enter_context(replaced(tree, "_populate_remote", remote))
        stack.enter_context(replaced(tree, "populate", _choosing(tree.populate, run)))
        stack.enter_context(replaced(tree, "inject", _verifying(tree.inject, run)))
        stack.enter_context(replaced(Scheduler, "merge", _fetching_first(Scheduler.merge, run)))
        yield


def _own_config(original: Callable[..., Any], run: Run) -> Callable[..., Any]:
    """Return the loader of binrepos.conf without the binhosts of Portage's installation."""

    def load(paths: Iterable[str], settings: Any) -> Any:
        if settings["EROOT"] == run.eroot:
            paths = [path for path in paths if path.startswith(run.config_root)]
        return original(paths, settings)

    return load


def _choosing(original: Callable[..., Any], run: Run) -> Callable[..., Any]:
    def populate(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = self.settings["EROOT"] == run.eroot
        if not own:  # The build host takes no packages.
            args, kwargs = args[1:], {**kwargs, "getbinpkgs": False}
        result = original(self, *args, **kwargs)
        if own and self.populated:
            for candidate in _candidates(self, run):
                if not run.accepts(self, candidate):
                    self.dbapi.cpv_remove(candidate.package)
        return result

    return populate


def _with_fetched(original: Callable[..., Any], run: Run) -> Callable[..., Any]:
    """Return ``_populate_remote`` that notes which local packages a binhost lists.

    Portage leaves them out of the remote ones, and they look like packages that were built here.
    """

    def populate_remote(self: Any, *args: Any, **kwargs: Any) -> Any:
        database = self.dbapi
        local = list(database.cpv_all()) if self.settings["EROOT"] == run.eroot else []
        for package in local:
            database.cpv_remove(package)
        result = original(self, *args, **kwargs)
        for package in local:
            if self._remotepkgs.pop(key := database._instance_key(package), None) is not None:
                run.fetched.add(key)
            else:
                database.cpv_inject(package)
        return result

    return populate_remote


def _candidates(bintree: Any, run: Run) -> Iterator[Candidate]:
    database, keys = bintree.dbapi, run.keys
    for package in list(database.cpv_all()):
        key = database._instance_key(package)
        if key in bintree._additional_pkgs:
            continue
        metadata = dict(zip(keys, database.aux_get(package, keys), strict=True))
        remote = key in run.fetched or key in (bintree._remotepkgs or ())
        yield Candidate(package, remote, metadata)


def _fetching_first(original: Callable[..., Any], run: Run) -> Callable[..., Any]:
    """Return ``Scheduler.merge`` that fetches and verifies all remote packages first.

    Portage would install the packages before a bad one.
    """

    def merge(self: Any) -> Any:
        wanted = [package for package in self._mergelist if _is_to_fetch(package)]
        if wanted:
            run.before_fetch(len(wanted), sum(_size(package) for package in wanted))
            self._event_loop.run_until_complete(_fetch(self, wanted, run))
        return 1 if run.refused else original(self)

    return merge


def _is_to_fetch(package: Any) -> bool:
    return (
        getattr(package, "type_name", "") == "binary"
        and package.operation == "merge"
        and not package.onlydeps
        and package.root_config.trees["bintree"].download_required(package.cpv)
    )


def _size(package: Any) -> int:
    with suppress(KeyError, ValueError):
        return int(package._metadata["SIZE"])
    return 0


async def _fetch(scheduler: Any, packages: list[Any], run: Run) -> None:
    import asyncio

    from _emerge.BinpkgPrefetcher import BinpkgPrefetcher

    turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(package: Any) -> None:
        async with turns:
            task = BinpkgPrefetcher(background=True, pkg=package, scheduler=scheduler._sched_iface)
            task.start()
            code = await task.async_wait()
        if code != os.EX_OK:
            run.refused.setdefault(str(package.cpv), "")
            _discard(task)

    await asyncio.gather(*(fetch(package) for package in packages))


def _discard(task: Any) -> None:
    """Remove the incomplete file of a package, and the empty one that reserves its name."""
    partial, reserved = Path(task.pkg_path), Path(task.pkg_allocated_path)
    with suppress(OSError):
        # Portage renames a file with a wrong checksum, see its _checksum_failure_temp_file.
        for path in (partial, *partial.parent.glob(f"{partial.name}._checksum_failure_.*")):
            path.unlink(missing_ok=True)
        if not reserved.stat().st_size:
            reserved.unlink()


def _verifying(original: Callable[..., Any], run: Run) -> Callable[..., Any]:
    """Return ``binarytree.inject``, which adds a fetched package to PKGDIR, with more checks."""

    def inject(self: Any, cpv: Any, *args: Any, **kwargs: Any) -> Any:
        path = kwargs.get("current_pkg_path") or next(iter(args), None)
        entry = _entry(self, cpv) if self.settings["EROOT"] == run.eroot else None
        if path and entry is not None and (reason := problem(self, cpv, path, entry, run)):
            run.refused[str(cpv)] = reason
            return None
        return original(self, cpv, *args, **kwargs)

    return inject


def _entry(bintree: Any, cpv: Any) -> Mapping[str, str] | None:
    """Return the entry of a package in a remote index."""
    if not bintree._remotepkgs:
        return None
    entry: Mapping[str, str] | None = bintree._remotepkgs.get(bintree.dbapi._instance_key(cpv))
    return entry


def problem(bintree: Any, cpv: Any, path: str, entry: Mapping[str, str], run: Run) -> str:
    """Return why a fetched package is not the one that the index describes, or an empty text.

    Check the checksums and signatures of all parts of the package, then its metadata.
    """
    from portage import gpkg
    from portage.exception import PortageException

    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            package = gpkg.gpkg(bintree.settings, None, path)
            package._verify_binpkg()
            if run.verify and not package.signature_exist:
                return "it is not signed"
            metadata = bintree._read_metadata(path, Path(path).stat())
            names = bintree._read_metadata(path, Path(path).stat(), keys=["CATEGORY", "PF"])
            bintree._eval_use_flags(cpv, metadata)
    except (PortageException, OSError, ValueError) as error:
        return _signature_problem(f"{error}\n{said.getvalue()}") or _first_line(error)
    found = f"{names['CATEGORY'].strip()}/{names['PF'].strip()}"
    if found != str(cpv):
        return f"the index describes {cpv}, but the file contains {found}"
    for key in (*COMPARED, *run.keys):
        if _words(entry.get(key, "")) != _words(metadata.get(key) or ""):
            return f"{key} in the index differs from {key} in the package"
    return ""


def _words(value: str) -> list[str]:
    return sorted(value.split())


_STATUS = (
    (r"NO_PUBKEY (\w+)", "it is signed with the key {0}, which this prefix does not trust"),
    (r"BADSIG (\w+)", "its signature does not match its content"),
    (r"(?:EXPKEYSIG|KEYEXPIRED) (\w+)", "the key {0} of its signature has expired"),
    (r"EXPSIG (\w+)", "its signature has expired"),
    (r"REVKEYSIG (\w+)", "the key {0} of its signature is revoked"),
    (r"TRUST_(?:UNDEFINED|NEVER)()", "the key of its signature is not trusted"),
    (r"NODATA()", "it is not signed"),
)
"""GnuPG's status lines, see doc/DETAILS of GnuPG."""


def _signature_problem(text: str) -> str:
    for pattern, reason in _STATUS:
        if match := re.search(rf"\[GNUPG:\] {pattern}", text):
            return reason.format(match[1])
    return "a part of it is not signed" if "signature not found" in text.lower() else ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip("'\"").splitlines()
    return lines[0] if lines else type(error).__name__
