# SPDX-License-Identifier: BSD-3-Clause
"""What asks for more than every machine has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flatcar_prefix.audit.elf import Elf
from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.tree import Entry, Tree

OLDEST_KERNEL = (4, 18, 0)
"""The oldest kernel of a distribution that still has support (Enterprise Linux 8)."""

_HWCAPS = re.compile(r"/glibc-hwcaps/x86-64-v([234])/")


def cpu_level(path: str, elf: Elf) -> str:
    """Return the level of x86-64 that a file asks of all processors; empty for any other.

    Below glibc-hwcaps only processors that can do it look.
    """
    if not elf.isa:
        return ""
    level = elf.isa.bit_length()
    allowed = _HWCAPS.search(path)
    if level > 4 or (allowed and level <= int(allowed.group(1))):
        return ""
    return "x86-64" if level == 1 else f"x86-64-v{level}"


def kernel(elf: Elf) -> str:
    """Return the lowest kernel that a file lets itself be loaded on; empty for any."""
    return ".".join(map(str, elf.kernel)) if elf.kernel else ""


def check_portability(path: str, elf: Elf) -> Iterator[Finding]:
    """Yield what keeps a file from being loaded on machines that are in use."""
    level = cpu_level(path, elf)
    if level > "x86-64":
        yield Finding("portability-cpu", path, f"asks for a processor of level {level}")
    if elf.kernel and elf.kernel > OLDEST_KERNEL:
        oldest = ".".join(map(str, OLDEST_KERNEL))
        message = f"asks for Linux {kernel(elf)}; {oldest} is in use"
        yield Finding("portability-kernel", path, message)


def check_place(tree: Tree) -> Iterator[Finding]:
    """Yield a finding for a prefix that no system extension can carry."""
    if not tree.eprefix.startswith(("/usr/", "/opt/")):
        message = "is merged by no system extension: those carry /usr and /opt"
        yield Finding("outside-usr-opt", tree.eprefix, message)


def check_beside(entry: Entry) -> Iterator[Finding]:
    """Yield a finding for a file of the root outside the prefix."""
    yield Finding("outside-prefix", entry.path, "lies outside the prefix")
