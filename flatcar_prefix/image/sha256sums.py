# SPDX-License-Identifier: BSD-3-Clause
"""Updates of SHA256SUMS, to which other programs can write; see sha256sum(1) for its format."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path

NAME = "SHA256SUMS"

_LINE = re.compile(
    r"[0-9A-Fa-f]{64} [ *](?P<name>.+)|SHA256 ?\((?P<tagged>.+)\) ?= ?[0-9A-Fa-f]{64}"
)


def merged(text: str, digests: Mapping[str, str], *, gone: Collection[str] = ()) -> str:
    """Return ``text``, a SHA256SUMS file, updated with ``digests`` of files by name.

    The lines of the files ``gone`` are removed. The new line of a file replaces its old line,
    which can have either form. All other lines stay unchanged, including lines that are not
    digests.
    """
    left = dict(sorted(digests.items()))
    lines = []
    for line in text.removesuffix("\n").split("\n") if text else []:
        match = _LINE.fullmatch(line.rstrip("\r"))
        name = (match["name"] or match["tagged"]).removeprefix("./") if match else ""
        if name in gone:
            continue
        if name not in digests:
            lines.append(line)
        elif name in left:
            lines.append(f"{left.pop(name)}  {name}")
    lines += [f"{digest}  {name}" for name, digest in left.items()]
    return "".join(f"{line}\n" for line in lines)


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
