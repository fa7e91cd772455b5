# SPDX-License-Identifier: BSD-3-Clause
"""Data about each board: architecture, CHOST, loader, profiles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flatcar_prefix.errors import UsageError


@dataclass(frozen=True)
class Board:
    """An architecture that Flatcar is built for.

    Paths of files in a prefix (:attr:`loader`, :attr:`libdir`) are relative to EPREFIX.
    Each architecture field uses the vocabulary of its consumer.
    """

    name: str
    arch: str
    """Gentoo's ARCH."""
    chost: str
    keywords: tuple[str, ...]
    """ACCEPT_KEYWORDS. Prefix profiles enable testing keywords; these values disable them."""
    loader: str
    libdir: str
    profiles: tuple[str, ...]
    """Profiles to try, best first, below ``profiles/`` of the main repository."""
    base_profiles: tuple[str, ...]
    """Profiles to compose with the prefix features where none of :attr:`profiles` exists."""
    elf_machine: str
    """``e_machine``, by its name in elf.h."""
    systemd_arch: str
    """``ARCHITECTURE=`` of extension-release, see os-release(5)."""
    uname_machine: str
    qemu: str
    """The QEMU user emulator, statically linked."""
    host_triplets: tuple[str, ...]
    """Prefixes of the names of a distribution's own compilers for this board."""

    @property
    def is_native(self) -> bool:
        """Whether this machine runs programs of the board without an emulator."""
        return self.uname_machine == os.uname().machine


def _prefix_profiles(*paths: str) -> tuple[str, ...]:
    """Return each profile with the variant for current kernels, then without it."""
    return tuple(f"{path}{kernel}" for path in paths for kernel in ("/kernel-3.2+", ""))


BOARDS: Mapping[str, Board] = MappingProxyType(
    {
        "amd64-usr": Board(
            name="amd64-usr",
            arch="amd64",
            chost="x86_64-cros-linux-gnu",
            keywords=("amd64", "-~amd64"),
            loader="lib64/ld-linux-x86-64.so.2",
            libdir="lib64",
            profiles=_prefix_profiles(
                "default/linux/amd64/23.0/split-usr/no-multilib/prefix",
                "default/linux/amd64/23.0/no-multilib/prefix",
                "default/linux/amd64/17.1/no-multilib/prefix",
            ),
            base_profiles=(
                "default/linux/amd64/23.0/split-usr/no-multilib",
                "default/linux/amd64/23.0/no-multilib",
                "default/linux/amd64/17.1/no-multilib",
            ),
            elf_machine="EM_X86_64",
            systemd_arch="x86-64",
            uname_machine="x86_64",
            qemu="qemu-x86_64-static",
            host_triplets=("x86_64-linux-gnu", "x86_64-pc-linux-gnu", "x86_64-redhat-linux"),
        ),
        "arm64-usr": Board(
            name="arm64-usr",
            arch="arm64",
            chost="aarch64-cros-linux-gnu",
            keywords=("arm64", "-~arm64"),
            loader="lib/ld-linux-aarch64.so.1",
            libdir="lib64",
            profiles=_prefix_profiles(
                "default/linux/arm64/23.0/split-usr/prefix",
                "default/linux/arm64/23.0/prefix",
                "default/linux/arm64/17.0/prefix",
            ),
            base_profiles=(
                "default/linux/arm64/23.0/split-usr",
                "default/linux/arm64/23.0",
                "default/linux/arm64/17.0",
            ),
            elf_machine="EM_AARCH64",
            systemd_arch="arm64",
            uname_machine="aarch64",
            qemu="qemu-aarch64-static",
            host_triplets=("aarch64-linux-gnu", "aarch64-unknown-linux-gnu"),
        ),
    }
)

DEFAULT_BOARD = "amd64-usr"

PREFIX_FEATURES = ("features/prefix/standalone/kernel-3.2+", "features/prefix/standalone")
"""Feature profiles that turn a board's profile into a prefix profile, best first."""


def board(name: str | Board) -> Board:
    """Return the board called ``name``; raise :class:`UsageError` for an unknown name.

    A :class:`Board` is returned as it is.
    """
    if isinstance(name, Board):
        return name
    try:
        return BOARDS[name]
    except KeyError:
        raise UsageError(
            f"unknown board {name!r}", hint=f"Choose one of: {', '.join(sorted(BOARDS))}."
        ) from None
