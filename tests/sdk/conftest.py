# SPDX-License-Identifier: BSD-3-Clause
"""Containers of both layouts, and of the real trees where those are named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sdk_container import LAYOUTS, SCRIPTS, Container, add_board, add_sdk_toolchain, write_scripts

from flatcar_prefix.boards import BOARDS

BOARD_CFLAGS = "-O2 -pipe -g0 -fno-plt"
"""What no other toolchain here has."""


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


@pytest.fixture(scope="session")
def make_container(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Container]:
    """Return what makes an empty container with a checkout of a layout."""

    def make(layout: str) -> Container:
        container = Container(tmp_path_factory.mktemp("sdk"))
        write_scripts(container.scripts, layout)
        return container

    return make


@pytest.fixture(scope="session")
def containers(make_container: Callable[[str], Container]) -> Callable[[str], Container]:
    """Return what gives the furnished container of a layout, made once."""
    made: dict[str, Container] = {}

    def get(layout: str) -> Container:
        if layout not in made:
            made[layout] = furnish(make_container(layout), layout)
        return made[layout]

    return get


@pytest.fixture(params=list(LAYOUTS))
def container(request: pytest.FixtureRequest, containers: Callable[[str], Container]) -> Container:
    """A furnished container, in either layout."""
    return containers(request.param)


@pytest.fixture
def any_container(containers: Callable[[str], Container]) -> Container:
    """A furnished container, whichever layout."""
    return containers("repos")


REAL_TREES = [Path(p) for p in os.environ.get("FLATCAR_PREFIX_TEST_SCRIPTS", "").split(":") if p]
"""Scripts checkouts to test with, as ``FLATCAR_PREFIX_TEST_SCRIPTS=DIR:...`` names them."""


@pytest.fixture(scope="session")
def real_container(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Container:
    """A container with a real checkout, which stays as it is."""
    tree: Path = request.param
    layout = "repos" if (tree / main_repository("repos")).is_dir() else "third_party"
    return furnish(Container(tmp_path_factory.mktemp("real"), real_scripts=tree), layout)
