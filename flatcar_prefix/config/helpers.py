# SPDX-License-Identifier: BSD-3-Clause
"""The shell code that configuration roots get, from ``eclass-helpers/``."""

from __future__ import annotations

from flatcar_prefix.binhost.identity import VARIABLES
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.system.variables import UNSET_IN_BUILDS


def bashrc() -> str:
    """Return the bashrc of a configuration root, see portage(5)."""
    text = _read("bashrc").replace("@UNSET@", " \\\n\t\t".join(UNSET_IN_BUILDS))
    return text.replace("@FLAGS@", " \\\n\t\t".join(VARIABLES))


def qa_check() -> str:
    """Return the check of the image that a build runs, see install-qa-check.d in portage(5)."""
    return _read("install-qa-check.d/60flatcar-prefix")


def _read(name: str) -> str:
    return (data_dir() / "eclass-helpers" / name).read_text(encoding="utf-8")
