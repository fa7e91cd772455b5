# SPDX-License-Identifier: BSD-3-Clause
"""Names and versions of packages, as the Package Manager Specification has them."""

from __future__ import annotations

import re

from packaging.version import Version

_PHASES = {"a": "alpha", "b": "beta", "rc": "rc"}


def is_package_name(name: str) -> bool:
    """Return whether ``name`` can be a package's (PMS, Package Names)."""
    from portage.versions import pkgsplit

    fits = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9+_-]*", name) is not None
    return fits and pkgsplit(name) is None and pkgsplit(f"{name}-1") is not None


def is_version(version: str) -> bool:
    """Return whether ``version`` is one of PMS, without a revision."""
    from portage.versions import ververify

    return "-" not in version and bool(ververify(version))


def from_pep440(version: str) -> str:
    """Return the version of PMS for one of PEP 440; the order of versions stays the same.

    PMS has no epoch and no local part; both are omitted.
    """
    parsed = Version(version)
    text = ".".join(str(part) for part in parsed.release)
    if parsed.pre:
        text += f"_{_PHASES[parsed.pre[0]]}{parsed.pre[1]}"
    if parsed.post is not None:
        text += f"_p{parsed.post}"
    if parsed.dev is not None:
        text += f"_pre{parsed.dev}"
    return text
