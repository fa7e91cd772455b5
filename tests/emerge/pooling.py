# SPDX-License-Identifier: BSD-3-Clause
"""A pool of small packages, for the tests of those who take packages from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import InUse, Machine, Overlay

from flatcar_prefix.relocate.eprefix import pool_eprefix

TEXT = """
src_install() {
    insinto /usr/share/${CATEGORY}
    newins - ${PN} <<<"${EPREFIX}/usr/share of ${CFLAGS}"
}
"""


@contextmanager
def short_machine() -> Iterator[Machine]:
    """Give a machine with a short path, because GnuPG makes sockets below it."""
    with TemporaryDirectory(prefix="fp-pool-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Machine(Path(directory) / "m")


def packages(machine: Machine, names: Iterable[str]) -> Overlay:
    """Return an overlay with the packages ``test-pool/<name>``; ``top`` depends on ``base``."""
    found = Overlay(machine.base / "overlay", "pooled")
    for name in names:
        found.ebuild(f"test-pool/{name}-1", TEXT, iuse="extra")
    found.ebuild("test-pool/top-1", TEXT, rdepend="test-pool/base")
    return found


def pool_of(machine: Machine, overlay: Overlay, names: Iterable[str]) -> InUse:
    """Create the pool ``shared`` and build the packages in it."""
    machine.ok(*machine.setup_command(
        "--bootstrap=none", "--pool", f"--custom_ebuild_overlays={overlay.path}", "shared"
    ))  # fmt: skip
    found = InUse(machine, "shared", pool_eprefix("shared"))
    found.install("--stage", *(f"test-pool/{name}" for name in names))
    return found
