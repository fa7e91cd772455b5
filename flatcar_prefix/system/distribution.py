# SPDX-License-Identifier: BSD-3-Clause
"""Commands that install missing programs, depending on the distribution."""

from __future__ import annotations

from pathlib import Path

CONTAINER_SCRIPTS = "mnt/host/source/src/scripts"


def on_gentoo(root: Path = Path("/")) -> bool:
    """Return whether this machine installs packages with Portage, as the SDK container does."""
    config = root / "etc/portage/make.profile"
    return config.exists() or (root / CONTAINER_SCRIPTS).is_dir()


def install(debian: str, gentoo: str, *, root: Path = Path("/")) -> str:
    """Return the install command for the Debian or the Gentoo package of a program."""
    return f"emerge {gentoo}" if on_gentoo(root) else f"apt-get install {debian}"
