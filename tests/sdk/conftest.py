# SPDX-License-Identifier: BSD-3-Clause
"""Containers of both layouts, and of the real trees if they are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from furnishing import furnish, main_repository
from sdk_container import LAYOUTS, Container, write_scripts


@pytest.fixture(scope="session")
def make_container(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Container]:
    """Return a function that creates an empty container with a checkout of a layout."""

    def make(layout: str) -> Container:
        container = Container(tmp_path_factory.mktemp("sdk"))
        write_scripts(container.scripts, layout)
        return container

    return make


@pytest.fixture(scope="session")
def containers(make_container: Callable[[str], Container]) -> Callable[[str], Container]:
    """Return a function that returns the furnished container of a layout, created once."""
    made: dict[str, Container] = {}

    def get(layout: str) -> Container:
        if layout not in made:
            made[layout] = furnish(make_container(layout), layout)
        return made[layout]

    return get


@pytest.fixture(params=list(LAYOUTS))
def container(request: pytest.FixtureRequest, containers: Callable[[str], Container]) -> Container:
    """A furnished container in each layout."""
    return containers(request.param)


@pytest.fixture
def any_container(containers: Callable[[str], Container]) -> Container:
    """A furnished container in one layout."""
    return containers("repos")


@pytest.fixture(scope="session")
def real_container(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Container:
    """A container with a real checkout, which does not change."""
    tree: Path = request.param
    layout = "repos" if (tree / main_repository("repos")).is_dir() else "third_party"
    return furnish(Container(tmp_path_factory.mktemp("real"), real_scripts=tree), layout)
