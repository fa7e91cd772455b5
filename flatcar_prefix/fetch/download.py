# SPDX-License-Identifier: BSD-3-Clause
"""Download a file by HTTP or FTP: bounded in size and time, resumed when the server cuts it off."""

from __future__ import annotations

import os
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from flatcar_prefix.errors import PrefixError

SUFFIX = ".__download__"
"""What Portage appends to the name of a file until it has checked the checksums."""

UNKNOWN_SIZE = 16 << 30
"""The limit in bytes for a file whose size neither the Manifest nor the server states."""

_PIECE = 1 << 16
_ATTEMPTS = 4


@dataclass(frozen=True)
class Limits:
    """The bounds of a transfer."""

    timeout: float
    """Seconds, for the connection and between two reads."""
    size: int | None = None
    """The size of the file in bytes, if the Manifest states it."""
    slowest: float = 1024
    """Bytes per second, over :attr:`patience`; a slower transfer is stalled."""
    patience: float = 60
    """Seconds."""


class UnreachableError(PrefixError):
    """The server cannot be reached at all."""


class _Cut(OSError):
    """The transfer ended early; another request can continue it."""


def download(uri: str, destination: Path, limits: Limits) -> None:
    """Download ``uri`` to ``destination``, atomically.

    A transfer that breaks off is continued, by a range request (RFC 9110). Raise
    :class:`PrefixError` if the server does not answer or does not have the file, if the file
    has another size than it should, or if the transfer stalls.
    """
    partial = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        with partial.open("wb") as out:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    _transfer(uri, out, limits)
                    break
                except (_Cut, TimeoutError, ConnectionError, HTTPException):
                    # Only an attempt that brought something is worth another one.
                    if attempt == _ATTEMPTS or not out.tell():
                        raise
        partial.replace(destination)
    except (OSError, HTTPException, ValueError) as error:
        kind = UnreachableError if _is_unreachable(error) else PrefixError
        raise kind(
            f"{uri}: {_reason(error)}", hint="Check the URI and the network of this machine."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _transfer(uri: str, out: BinaryIO, limits: Limits) -> None:
    """Add the rest of a file to ``out``; begin again if the server cannot continue."""
    headers = {"User-Agent": "flatcar-prefix"}
    if out.tell():
        headers["Range"] = f"bytes={out.tell()}-"
    request = urllib.request.Request(uri, headers=headers)
    with urllib.request.urlopen(request, timeout=limits.timeout) as answer:
        if not _continues(answer, out.tell()):
            out.seek(0)
            out.truncate()
        length = answer.headers.get("Content-Length")
        expected = None if length is None else out.tell() + int(length)
        if limits.size is not None and expected is not None and expected != limits.size:
            raise OSError(f"the file has {expected} bytes, and {limits.size} in the Manifest")
        _copy(answer, out, limits, expected)


def _continues(answer: object, place: int) -> bool:
    """Return whether an answer continues a file at ``place``."""
    stated = getattr(answer, "headers", {}).get("Content-Range") or ""
    return place > 0 and stated.startswith(f"bytes {place}-")


def _copy(answer: BinaryIO, out: BinaryIO, limits: Limits, expected: int | None) -> None:
    most = limits.size if limits.size is not None else (expected or UNKNOWN_SIZE)
    since, before = time.monotonic(), out.tell()
    # read1 returns the available bytes; read would wait for a whole piece of a slow transfer.
    read = getattr(answer, "read1", answer.read)
    while piece := read(_PIECE):
        out.write(piece)
        if out.tell() > most:
            raise OSError(f"the file has more than the {most} bytes that it should have")
        passed = time.monotonic() - since
        if passed >= limits.patience:
            if out.tell() - before < limits.slowest * passed:
                raise OSError(
                    f"the transfer is stalled: {out.tell() - before} bytes in {passed:.0f} s"
                )
            since, before = time.monotonic(), out.tell()
    if out.tell() < (limits.size or expected or 0):
        raise _Cut(f"the transfer ended after {out.tell()} of {limits.size or expected} bytes")


def _is_unreachable(error: Exception) -> bool:
    cause = error.reason if isinstance(error, urllib.error.URLError) else None
    return isinstance(cause, (socket.gaierror, TimeoutError))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        return "the name of the server cannot be resolved"
    if isinstance(cause, TimeoutError):
        return "the server does not answer"
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    return text or type(cause).__name__
