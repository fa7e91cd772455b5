# SPDX-License-Identifier: BSD-3-Clause
"""The file RECORD of an installed Python distribution, with the digests of its files.

See "Recording installed projects" in the Python Packaging User Guide.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from collections.abc import Callable

NAME = "RECORD"
_DIRECTORY = ".dist-info"
_FIELDS = 3


def is_record(path: str) -> bool:
    """Return whether a path is that of a RECORD."""
    directory, name = os.path.split(path)
    return name == NAME and directory.endswith(_DIRECTORY)


def updated(record: bytes, changed: Callable[[str], bytes | None]) -> bytes:
    """Return ``record`` with new digests and sizes of changed files.

    ``changed`` gets the path of a file, relative to the directory of the distribution or
    absolute, and returns its content if it has changed.
    """
    lines = record.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    return "".join(_line(line, changed) for line in lines).encode("utf-8", "surrogateescape")


def _line(line: str, changed: Callable[[str], bytes | None]) -> str:
    body = line.rstrip("\r\n")
    fields = next(csv.reader([body]), [])
    if len(fields) != _FIELDS or "=" not in fields[1]:
        return line
    algorithm = fields[1].partition("=")[0]
    content = changed(fields[0]) if algorithm in hashlib.algorithms_available else None
    if content is None:
        return line
    digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
    text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    path = body.rsplit(",", _FIELDS - 1)[0]
    return f"{path},{algorithm}={text},{len(content)}{line[len(body) :]}"
