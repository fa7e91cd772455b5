# SPDX-License-Identifier: BSD-3-Clause
"""Directories of this machine: the SDK container, or any Linux machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.boards import Board
from flatcar_prefix.environ import variables
from flatcar_prefix.system.distribution import CONTAINER_SCRIPTS
from flatcar_prefix.system.python import PACKAGE_DIR
from flatcar_prefix.system.users import portage_user


@dataclass(frozen=True)
class Sdk:
    """The directories of one machine. ``kind`` is ``container`` or ``standalone``."""

    kind: str
    scripts_dir: Path
    """The checkout whose ``repos/`` are used."""
    prefix_base: Path
    """Final roots go to ``<prefix_base>/__prefix__/<board>/<name>``."""
    build_base: Path
    """Staging roots go to ``<build_base>/prefix-<board>/<name>``."""
    distdir: Path
    depcachedir: Path
    state_dir: Path
    """Holds links to staging directories that are not at the default path."""
    wrapper_dir: Path
    username: str
    groupname: str

    def staging_dir(self, board: Board, name: str) -> Path:
        """Return the default staging directory of a prefix."""
        return self.build_base / f"prefix-{board.name}" / name

    def final_dir(self, board: Board, name: str) -> Path:
        """Return the default final directory of a prefix."""
        return self.prefix_base / "__prefix__" / board.name / name


def data_dir() -> Path:
    """Return the directory that holds ``repos``, ``wrappers``, ``eclass-helpers`` and ``docs``.

    It is the checkout that this program runs from, or the package's installed data.
    """
    checkout = PACKAGE_DIR.parent
    if (checkout / "setup.py").is_file() and (checkout / "repos").is_dir():
        return checkout
    return PACKAGE_DIR / "_data"


def documentation(page: str) -> str:
    """Return the path of a page of the documentation, which is installed with this program."""
    return os.fspath(data_dir() / "docs" / page)


def embedded_repositories() -> Path:
    """Return the directory of the repositories that this program contains."""
    return data_dir() / "repos"


def is_embedded(location: Path) -> bool:
    """Return whether this program contains the repository at ``location``."""
    return os.path.realpath(location.parent) == os.path.realpath(embedded_repositories())


def detect_sdk(
    *,
    scripts_dir: Path | None = None,
    root: Path = Path("/"),
    environ: Mapping[str, str] | None = None,
) -> Sdk:
    """Return the directories of this machine.

    ``root`` is the root of the machine's file system; ``scripts_dir`` replaces the machine's
    own checkout. The variables ``FLATCAR_PREFIX_BUILD_DIR``, ``FLATCAR_PREFIX_FINAL_DIR``,
    ``FLATCAR_PREFIX_CACHE_DIR``, ``FLATCAR_PREFIX_STATE_DIR`` and
    ``FLATCAR_PREFIX_WRAPPER_DIR`` override the directories.
    """
    env = variables() if environ is None else environ
    container = root / CONTAINER_SCRIPTS
    if container.is_dir():
        return _container(root, scripts_dir or container, env)
    return _standalone(root, scripts_dir, env)


def _container(root: Path, scripts: Path, env: Mapping[str, str]) -> Sdk:
    state = Path(env.get("FLATCAR_PREFIX_STATE_DIR", root / "var/lib/flatcar-prefix"))
    cache = Path(env.get("FLATCAR_PREFIX_CACHE_DIR", root / "var/cache/flatcar-prefix"))
    user, group = portage_user()
    return Sdk(
        kind="container",
        scripts_dir=scripts,
        prefix_base=Path(env.get("FLATCAR_PREFIX_FINAL_DIR", scripts)),
        build_base=Path(env.get("FLATCAR_PREFIX_BUILD_DIR", root / "build")),
        distdir=root / "mnt/host/source/.cache/distfiles",
        depcachedir=cache / "depcache",
        state_dir=state,
        wrapper_dir=Path(env.get("FLATCAR_PREFIX_WRAPPER_DIR", root / "usr/local/bin")),
        username=user,
        groupname=group,
    )


def _standalone(root: Path, scripts: Path | None, env: Mapping[str, str]) -> Sdk:
    cache, state = _own_dirs(root, env)
    data = data_dir()
    checkout = data == PACKAGE_DIR.parent
    user, group = portage_user()
    return Sdk(
        kind="standalone",
        scripts_dir=scripts or data,
        prefix_base=Path(
            env.get("FLATCAR_PREFIX_FINAL_DIR") or scripts or (data if checkout else state)
        ),
        build_base=Path(env.get("FLATCAR_PREFIX_BUILD_DIR", root / "build")),
        distdir=cache / "distfiles",
        depcachedir=cache / "depcache",
        state_dir=state,
        wrapper_dir=Path(env.get("FLATCAR_PREFIX_WRAPPER_DIR", root / "usr/local/bin")),
        username=user,
        groupname=group,
    )


def _own_dirs(root: Path, env: Mapping[str, str]) -> tuple[Path, Path]:
    """Return this program's cache and state directories, see the XDG base directories."""
    if os.geteuid() == 0:
        cache, state = root / "var/cache/flatcar-prefix", root / "var/lib/flatcar-prefix"
    else:
        home = Path(env.get("HOME", "/"))
        cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "flatcar-prefix"
        state = Path(env.get("XDG_STATE_HOME") or home / ".local/state") / "flatcar-prefix"
    return (
        Path(env.get("FLATCAR_PREFIX_CACHE_DIR", cache)),
        Path(env.get("FLATCAR_PREFIX_STATE_DIR", state)),
    )


def user_config_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's configuration directory of this program."""
    env = variables() if environ is None else environ
    base = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME", "/"), ".config")
    return Path(base) / "flatcar-prefix"
