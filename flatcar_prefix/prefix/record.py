# SPDX-License-Identifier: BSD-3-Clause
"""The record file, which describes a prefix."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from flatcar_prefix.boards import board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix.model import RECORD_NAME, Prefix, Toolchain
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.system.files import is_same, write_atomic

RECORD_FORMAT = 1


def to_record(prefix: Prefix) -> str:
    """Return the text of the record, JSON with sorted keys."""
    data = asdict(replace(prefix, board=prefix.board.name))  # type: ignore[arg-type]
    data["format"] = RECORD_FORMAT
    return json.dumps(data, indent=2, sort_keys=True, default=os.fspath) + "\n"


def from_record(text: str) -> Prefix:
    """Return the prefix that a record describes; raise :class:`PrefixError` if it is broken."""
    hint = "Remove the staging and final directories, then set the prefix up again."
    try:
        data = json.loads(text)
        if data.pop("format") > RECORD_FORMAT:
            raise PrefixError(
                f"the prefix was created by a newer version, {data.get('written_by')}",
                hint="Use that version, or recreate the prefix with --force.",
            )
        data["board"] = board(data["board"])
        data["toolchain"] = Toolchain(**data["toolchain"])
        data["repositories"] = tuple(_repository(r) for r in data["repositories"])
        for key in ("staging_dir", "final_dir", "distdir", "depcachedir", "wrapper_dir"):
            data[key] = Path(data[key])
        data["stages_done"] = tuple(data["stages_done"])
        known = {f.name for f in fields(Prefix)}
        return Prefix(**{key: value for key, value in data.items() if key in known})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PrefixError(f"the record of the prefix is broken: {error}", hint=hint) from error


def _repository(data: dict[str, Any]) -> Repository:
    data["location"] = Path(data["location"])
    data["masters"] = tuple(data["masters"])
    data["aliases"] = tuple(data["aliases"])
    return Repository(**data)


def read(staging_dir: Path) -> Prefix:
    """Return the prefix whose record is in ``staging_dir``.

    The returned prefix keeps the staging path of its creation, which its wrappers use, even
    if ``staging_dir`` reaches the directory by another path. A moved prefix has its new path.
    Raise ``FileNotFoundError`` without a record. Raise :class:`PrefixError` for a copy of a
    prefix, because its record names the original's final root and wrappers.
    """
    prefix = from_record((staging_dir / RECORD_NAME).read_text(encoding="utf-8"))
    if prefix.staging_dir == staging_dir or is_same(prefix.staging_dir, staging_dir):
        return prefix
    if prefix.record_file.exists():
        raise PrefixError(
            f"{staging_dir} is a copy of the prefix {prefix.id} in {prefix.staging_dir}",
            hint="Use the original; this copy is not registered and can be deleted.",
        )
    return replace(prefix, staging_dir=staging_dir)


def write(prefix: Prefix) -> Prefix:
    """Write the record, atomically, and return the prefix."""
    write_atomic(prefix.record_file, to_record(prefix))
    return prefix
