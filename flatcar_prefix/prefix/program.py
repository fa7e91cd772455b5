# SPDX-License-Identifier: BSD-3-Clause
"""The installation of this program that a prefix's configuration names.

A generated make.conf names this program's Python and launcher, and the staging directory. If the
program or the directory moves, the configuration must be written again; see
:mod:`flatcar_prefix.lifecycle.wrappers`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from flatcar_prefix.system.files import GENERATED
from flatcar_prefix.system.python import launch

_LINE = '^{}="(.*)"$'
_UNPRINTED = re.compile(r"\\(.)")


class Written(NamedTuple):
    """The paths in a configuration that can move."""

    launcher: tuple[str, ...]
    """The command that runs this program: Python, its options, and ``launch.py``."""
    staging_dir: Path | None

    @property
    def package_dir(self) -> Path:
        """The directory of the Python package that wrote the configuration."""
        return Path(self.launcher[-1]).parent


def written_in(make_conf: Path) -> Written | None:
    """Return the paths that a make.conf names; ``None`` if this program did not write it."""
    try:
        text = make_conf.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    run = _value(text, "FLATCAR_PREFIX_RUN") if GENERATED in text else None
    try:
        words = tuple(shlex.split(run or ""))
    except ValueError:
        words = ()
    if not words:
        return None
    staging = _value(text, "FLATCAR_PREFIX_STAGING")
    return Written(words, Path(staging) if staging else None)


def _value(text: str, name: str) -> str | None:
    match = re.search(_LINE.format(name), text, re.MULTILINE)
    return _UNPRINTED.sub(r"\1", match[1]) if match else None


def is_current(written: Written | None, staging_dir: Path) -> bool:
    """Return whether this program wrote the configuration, for this staging directory."""
    return written is None or (
        written.launcher == tuple(launch()) and written.staging_dir in (None, staging_dir)
    )


def gone(written: Written | None, staging_dir: Path) -> Path | None:
    """Return the first path in a configuration that no longer exists, or ``None``."""
    if written is None:
        return None
    paths = [Path(word) for word in written.launcher if word.startswith("/")]
    if written.staging_dir and written.staging_dir != staging_dir:
        paths.append(written.staging_dir)
    return next((path for path in paths if not path.exists()), None)
