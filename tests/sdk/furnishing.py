# SPDX-License-Identifier: BSD-3-Clause
"""The equipment of the tests' containers: toolchains, boards, real trees."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sdk_container import LAYOUTS, SCRIPTS, Container, add_board, add_sdk_toolchain

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.config import machine_packages

BOARD_CFLAGS = "-O2 -pipe -g0 -fno-plt"
"""A property that no other toolchain here has."""


def main_repository(layout: str) -> str:
    place, names = LAYOUTS[layout]
    return f"{place}/{names['gentoo-subset'][0]}"


def furnish(container: Container, layout: str) -> Container:
    """Give a container the toolchains and the roots of both boards."""
    for board in BOARDS.values():
        add_sdk_toolchain(container, board)
        profile = f"{SCRIPTS}/{main_repository(layout)}/profiles/{board.base_profiles[0]}"
        add_board(container, board, cflags=BOARD_CFLAGS, profile=profile)
    return container


REAL_TREES = [Path(p) for p in os.environ.get("FLATCAR_PREFIX_TEST_SCRIPTS", "").split(":") if p]
"""The scripts checkouts in ``FLATCAR_PREFIX_TEST_SCRIPTS=DIR:...``."""


def system_python() -> str:
    """Return the version of the Python that runs a container's own Portage."""
    return subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def machine_provides() -> str:
    """Return a package.provided of what this machine's programs stand for."""
    packages = machine_packages.present()
    return "".join(
        f"{package.name}-{package.version}\n"
        for package in packages
        if not package.name.startswith("prefix/")
    )
