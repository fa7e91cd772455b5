# SPDX-License-Identifier: BSD-3-Clause
"""Fetch a file for Portage: from its URI, else from the distribution's source packages.

FETCHCOMMAND, RESUMECOMMAND and FETCHCOMMAND_DEBIAN run
``python -m flatcar_prefix.fetch <uri> <file>`` for one URI of SRC_URI after another. Portage checks
the file against the Manifest. The first call for a file tries all places; the next ones try only
their own URI.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flatcar_prefix import environ
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.fetch import debian, manifest, pypi, recently
from flatcar_prefix.fetch.download import SUFFIX, Limits, UnreachableError, download
from flatcar_prefix.fetch.manifest import Dist
from flatcar_prefix.fetch.variables import MIRRORS, NEWER_SUITES
from flatcar_prefix.system import entry

CONNECT_TIMEOUT = 8.0
"""The timeout in seconds, for the connection and between two reads."""

_SCHEMES = ("http", "https", "ftp")


@dataclass(frozen=True)
class Request:
    """A file to fetch: its URI, its destination, and the settings of the transfer."""

    uri: str
    destination: Path
    cache: Path
    mirrors: tuple[str, ...] = ()
    """Debian archives to try before the machine's own, if apt does not find the file."""
    timeout: float = CONNECT_TIMEOUT
    dist: Dist | None = None
    """What the Manifest states about the file."""
    distfile_mirrors: tuple[str, ...] = ()
    """The mirrors of GENTOO_MIRRORS: URIs or directories."""
    indexes: tuple[str, ...] = ()
    """Python package indexes, for the URIs of ``mirror://pypi``."""
    newer: bool = True
    """Whether to search newer suites of the distribution."""

    @property
    def limits(self) -> Limits:
        return Limits(self.timeout, self.dist.size if self.dist else None)

    @property
    def is_named(self) -> bool:
        """Whether the URI names the file of a source package."""
        return self.uri.startswith("debian:")


def distfile_names(uri: str, destination: Path) -> list[str]:
    """Return the possible names of a tarball: upstream's, then the Manifest's.

    Portage appends a suffix to the name until it has checked the checksums.
    """
    upstream = os.path.basename(unquote(urlsplit(uri).path))
    return list(dict.fromkeys((upstream, destination.name.removesuffix(SUFFIX))))


def fetch(request: Request, *, os_release: str = "") -> str:
    """Fetch a file and return its origin, a URI or a source package.

    Raise :class:`FetchError` if no place has the file, and :class:`UsageError` for an
    unknown scheme.
    """
    scheme = request.uri.partition(":")[0].lower()
    if scheme == "debian":
        return from_distribution(request, [debian.parse_uri(request.uri)], os_release=os_release)
    if scheme not in _SCHEMES:
        raise UsageError(
            f"cannot fetch {request.uri!r}: the scheme is not supported",
            hint=f"Use one of {', '.join(_SCHEMES)} or debian://<source package>/<file>.",
        )
    failures = []
    first = request.dist is None or not recently.missed(request.dist, request.cache)
    for place in _places(request, os_release) if first else [partial(_upstream, request)]:
        try:
            return place()
        except PrefixError as error:
            failures.append(error)
    if request.dist is not None:
        recently.remember_missed(request.dist, request.cache)
    raise FetchError(failures)


class FetchError(PrefixError):
    """No place has the file."""

    def __init__(self, failures: Sequence[PrefixError]) -> None:
        super().__init__("; ".join(map(str, failures)), hint=failures[-1].hint)
        self.places = tuple(map(str, failures))
        """One line for each place that was tried."""


def _places(request: Request, os_release: str) -> Iterator[Callable[[], str]]:
    """Yield a function for each place that may have a file, in the order of preference."""
    for mirror in request.distfile_mirrors:
        yield partial(_from_mirror, request, mirror)
    yield partial(_upstream, request)
    if found := pypi.project(request.uri):
        for index in request.indexes:
            yield partial(_from_index, request, index, *found)
    names = distfile_names(request.uri, request.destination)
    if wanted := [guess for name in names for guess in debian.guesses(name)]:
        yield partial(from_distribution, request, wanted, os_release=os_release)
    elif request.dist is not None:
        yield partial(from_distribution, request, [], os_release=os_release)
    if request.dist is not None and request.newer:
        yield partial(_from_newer_suites, request, request.dist, os_release)


def _upstream(request: Request) -> str:
    _download(request.uri, request)
    return request.uri


def _download(uri: str, request: Request) -> None:
    """Download a file, but not from a server that could not be reached a short time ago."""
    recently.refuse_unreachable(uri, request.cache)
    try:
        download(uri, request.destination, request.limits)
    except UnreachableError:
        recently.remember_unreachable(uri, request.cache)
        raise


def _from_mirror(request: Request, mirror: str) -> str:
    """Fetch a file from a mirror of distfiles and return its path or URI there.

    See GLEP 75. The two layouts are ``flat`` and ``filename-hash BLAKE2B 8``, the one of
    Gentoo's mirrors.
    """
    name = request.destination.name.removesuffix(SUFFIX)
    hashed = f"{hashlib.blake2b(name.encode()).hexdigest()[:2]}/{name}"
    if mirror.startswith("/"):
        for path in (f"{mirror}/{each}" for each in (name, hashed, f"distfiles/{name}")):
            if Path(path).is_file():
                shutil.copyfile(path, request.destination)
                return path
        raise PrefixError(f"{mirror}: it does not have {name}", hint="Put the file there.")
    base = f"{mirror.rstrip('/')}/distfiles"
    try:
        _download(f"{base}/{name}", request)
        return f"{base}/{name}"
    except UnreachableError:
        raise
    except PrefixError:
        _download(f"{base}/{hashed}", request)
        return f"{base}/{hashed}"


def _from_index(request: Request, index: str, project: str, file: str) -> str:
    """Fetch a file of a project from a Python package index and return its URI."""
    for uri in pypi.links(index, project, file, request.timeout):
        download(uri, request.destination, request.limits)
        return uri
    raise PrefixError(
        f"{index}/{project}/: it does not list {file}", hint="Put the file into DISTDIR by hand."
    )


def _from_newer_suites(request: Request, dist: Dist, os_release: str) -> str:
    """Fetch a file from the source packages of newer suites and return its origin."""
    archive = debian.archive(request.cache, os_release=os_release)
    entries = debian.newer_entries(archive.entries, os_release=os_release)
    if not entries:
        raise PrefixError(
            "newer suites: none are known for this distribution",
            hint="Put the file into DISTDIR by hand.",
        )
    newer = debian.Archive(request.cache / "newer", tuple(entries), any_age=True)
    return newer.get_listed(dist, request.destination)


def from_distribution(
    request: Request, wanted: Sequence[tuple[str, str]], *, os_release: str
) -> str:
    """Fetch a file of a source package and return its origin.

    If the Manifest states the size, search the lists of apt for it. Otherwise search the
    names ``wanted``. Then try the first name's path in each archive, because archives keep
    files longer than they list them.
    """
    mirrors = request.mirrors
    try:
        archive = debian.archive(request.cache, os_release=os_release)
        mirrors += tuple(dict.fromkeys(entry.uri.rstrip("/") for entry in archive.entries))
        if request.dist is not None and not request.is_named:
            mirrors = request.mirrors
            return archive.get_listed(request.dist, request.destination)
        return archive.get(wanted, request.destination)
    except PrefixError:
        # Try the first name only: a request for each guess would take long.
        for source, file in wanted[:1]:
            for mirror in mirrors:
                uri = f"{mirror}/{debian.pool_path(source, file)}"
                try:
                    download(uri, request.destination, request.limits)
                    return uri
                except PrefixError:
                    continue
        raise


def default_cache(env: Mapping[str, str], *, root: bool) -> Path:
    """Return the directory of apt's lists: the machine's cache for root, else the user's."""
    if root:
        return Path("/var/cache/flatcar-prefix/apt")
    base = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME", "/tmp"), ".cache")
    return Path(base) / "flatcar-prefix/apt"


def read_os_release() -> str:
    """Return the text of os-release, or an empty string without one."""
    for path in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flatcar_prefix.fetch",
        description="Fetch a file from upstream or from the distribution's source packages.",
    )
    parser.add_argument("uri", help="http, https, ftp, or debian://<source package>/<file>")
    parser.add_argument("destination", type=Path, help="path of the downloaded file")
    parser.add_argument("--cache", type=Path, help="directory for the lists of source packages")
    parser.add_argument(
        "--mirror", action="append", default=[], help="a Debian archive to try after apt"
    )
    parser.add_argument("--timeout", type=float, default=CONNECT_TIMEOUT, help="in seconds")
    return parser


def main(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Fetch the file of a command line and return 0; raise :class:`PrefixError` if that fails."""
    args = _parser().parse_args(argv)
    request = Request(
        uri=args.uri,
        destination=args.destination.absolute(),
        cache=args.cache or default_cache(env, root=os.geteuid() == 0),
        mirrors=tuple(mirror.rstrip("/") for mirror in args.mirror),
        timeout=args.timeout,
        dist=manifest.dist(args.destination, env),
        distfile_mirrors=tuple(env.get(MIRRORS, "").split()),
        indexes=pypi.indexes(env),
        newer=env.get(NEWER_SUITES, "yes") not in ("no", "0", "false"),
    )
    try:
        origin = fetch(request, os_release=read_os_release())
    except FetchError as error:
        for place in error.places:
            print(f" * {place}", file=sys.stderr)
        name = args.destination.name.removesuffix(SUFFIX)
        raise PrefixError(
            f"cannot fetch {name} from any of these places", hint=error.hint
        ) from error
    print(f" * Fetched {args.destination.name.removesuffix(SUFFIX)}: {origin}")
    return 0


if __name__ == "__main__":
    sys.exit(entry.run(lambda: main(sys.argv[1:], environ.variables()), program="fetch"))
