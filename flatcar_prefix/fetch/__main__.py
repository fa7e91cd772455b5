# SPDX-License-Identifier: BSD-3-Clause
"""Portage's fetch command: upstream first, then the distribution's source packages.

``python -m flatcar_prefix.fetch <uri> <file>`` stands in FETCHCOMMAND, RESUMECOMMAND and
FETCHCOMMAND_DEBIAN. Whether a file is the right one is for Portage to say, by the
Manifest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.fetch import debian

CONNECT_TIMEOUT = 8.0
"""Seconds without an answer, or without another byte, after which a server is given up."""

_PORTAGE_SUFFIX = ".__download__"
_SCHEMES = ("http", "https", "ftp")


@dataclass(frozen=True)
class Request:
    """What is to be fetched, and how."""

    uri: str
    destination: Path
    cache: Path
    mirrors: tuple[str, ...] = ()
    """Debian archives to look into last, besides those the machine itself uses."""
    timeout: float = CONNECT_TIMEOUT


def distfile_names(uri: str, destination: Path) -> list[str]:
    """Return the names a tarball may be known by: upstream's, then the Manifest's.

    Portage downloads to a name with a suffix, until it has compared checksums.
    """
    upstream = os.path.basename(unquote(urlsplit(uri).path))
    return list(dict.fromkeys((upstream, destination.name.removesuffix(_PORTAGE_SUFFIX))))


def download(uri: str, destination: Path, *, timeout: float) -> None:
    """Bring ``uri`` to ``destination``, which appears whole or not at all.

    :class:`PrefixError` when the server cannot be reached or does not have it.
    """
    partial = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        request = urllib.request.Request(uri, headers={"User-Agent": "flatcar-prefix"})
        with urllib.request.urlopen(request, timeout=timeout) as answer, partial.open("wb") as out:
            shutil.copyfileobj(answer, out, 1 << 20)
            expected = answer.headers.get("Content-Length")
            if expected is not None and out.tell() != int(expected):
                raise OSError(f"it ended after {out.tell()} of {expected} bytes")
        partial.replace(destination)
    except (OSError, HTTPException, ValueError) as error:
        raise PrefixError(
            f"{uri}: {_reason(error)}", hint="See that the machine has a network."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        return "the server's name is not known here"
    if isinstance(cause, TimeoutError):
        return "the server does not answer"
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    return text or type(cause).__name__


def fetch(request: Request, *, os_release: str = "") -> str:
    """Fetch a file and return where it came from.

    :class:`PrefixError` says why it is nowhere to be had; :class:`UsageError` is for a
    scheme that is not known here.
    """
    scheme = request.uri.partition(":")[0].lower()
    if scheme == "debian":
        return from_distribution(request, [debian.parse_uri(request.uri)], os_release=os_release)
    if scheme not in _SCHEMES:
        raise UsageError(
            f"{request.uri!r} is nothing that can be fetched",
            hint=f"Use one of {', '.join(_SCHEMES)} or debian://<source package>/<file>.",
        )
    try:
        download(request.uri, request.destination, timeout=request.timeout)
        return request.uri
    except PrefixError as upstream:
        names = distfile_names(request.uri, request.destination)
        wanted = [guess for name in names for guess in debian.guesses(name)]
        if not wanted:
            raise
        try:
            return from_distribution(request, wanted, os_release=os_release)
        except PrefixError as error:
            raise PrefixError(f"{upstream}; and {error}", hint=error.hint) from error


def from_distribution(
    request: Request, wanted: Sequence[tuple[str, str]], *, os_release: str
) -> str:
    """Fetch a file of a source package and return which.

    apt is asked first: it knows what there is and checks signatures. Archives keep files
    longer than they list them, so the file's own place there is tried after it.
    """
    mirrors = request.mirrors
    try:
        archive = debian.archive(request.cache, os_release=os_release)
        mirrors += tuple(dict.fromkeys(entry.uri.rstrip("/") for entry in archive.entries))
        return archive.get(wanted, request.destination)
    except PrefixError:
        # Guesses are for a list to decide; asking a server for each would take long.
        for source, file in wanted[:1]:
            for mirror in mirrors:
                uri = f"{mirror}/{debian.pool_path(source, file)}"
                try:
                    download(uri, request.destination, timeout=request.timeout)
                    return uri
                except PrefixError:
                    continue
        raise


def default_cache(env: Mapping[str, str], *, root: bool) -> Path:
    """Return where apt's lists are kept: the machine's cache for root, else the user's."""
    if root:
        return Path("/var/cache/flatcar-prefix/apt")
    base = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME", "/tmp"), ".cache")
    return Path(base) / "flatcar-prefix/apt"


def read_os_release() -> str:
    """Return the text of os-release, or nothing where there is none."""
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
    parser.add_argument("destination", type=Path, help="where the file is to be")
    parser.add_argument("--cache", type=Path, help="directory for the lists of source packages")
    parser.add_argument(
        "--mirror", action="append", default=[], help="a Debian archive to try last"
    )
    parser.add_argument("--timeout", type=float, default=CONNECT_TIMEOUT, help="in seconds")
    return parser


def main(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Do what the command line says and return the exit code."""
    args = _parser().parse_args(argv)
    request = Request(
        uri=args.uri,
        destination=args.destination.absolute(),
        cache=args.cache or default_cache(env, root=os.geteuid() == 0),
        mirrors=tuple(mirror.rstrip("/") for mirror in args.mirror),
        timeout=args.timeout,
    )
    try:
        origin = fetch(request, os_release=read_os_release())
    except PrefixError as error:
        print(f" * {error}\n * {error.hint}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(
            f" * {error.filename}: {error.strerror}\n * See that you may write there.",
            file=sys.stderr,
        )
        return 1
    print(f" * Fetched {args.destination.name.removesuffix(_PORTAGE_SUFFIX)}: {origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
