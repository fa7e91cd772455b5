# SPDX-License-Identifier: BSD-3-Clause
"""What to do about a program that is missing: the words, by who gives out packages here."""

from __future__ import annotations

from pathlib import Path

CONTAINER_SCRIPTS = "mnt/host/source/src/scripts"


def on_gentoo(root: Path = Path("/")) -> bool:
    """Return whether packages come by Portage here, as in the SDK container."""
    config = root / "etc/portage/make.profile"
    return config.exists() or (root / CONTAINER_SCRIPTS).is_dir()


def install(debian: str, gentoo: str, *, root: Path = Path("/")) -> str:
    """Return the command that installs a program, by its packages' names here and there."""
    return f"emerge {gentoo}" if on_gentoo(root) else f"apt-get install {debian}"
