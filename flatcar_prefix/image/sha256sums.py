# SPDX-License-Identifier: BSD-3-Clause
"""SHA256SUMS, which others may write to as well; see sha256sum(1) for its lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

NAME = "SHA256SUMS"

_LINE = re.compile(
    r"[0-9A-Fa-f]{64} [ *](?P<name>.+)|SHA256 ?\((?P<tagged>.+)\) ?= ?[0-9A-Fa-f]{64}"
)


def merged(text: str, digests: Mapping[str, str]) -> str:
    """Return ``text``, a SHA256SUMS file, with ``digests`` of files by name.

    A file's line is replaced where it is, whatever its form; others stay as they are, those
    that are no digests included.
    """
    left = dict(sorted(digests.items()))
    lines = []
    for line in text.removesuffix("\n").split("\n") if text else []:
        match = _LINE.fullmatch(line.rstrip("\r"))
        name = (match["name"] or match["tagged"]).removeprefix("./") if match else ""
        if name not in digests:
            lines.append(line)
        elif name in left:
            lines.append(f"{left.pop(name)}  {name}")
    lines += [f"{digest}  {name}" for name, digest in left.items()]
    return "".join(f"{line}\n" for line in lines)


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
