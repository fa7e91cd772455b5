# SPDX-License-Identifier: BSD-3-Clause
"""Checks for the required kernel and processor, and for the places of files and prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flatcar_prefix.audit.elf import Elf
from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.tree import Entry, Tree

OLDEST_KERNEL = (4, 18, 0)
"""The oldest kernel of a supported distribution (Enterprise Linux 8)."""

_HWCAPS = re.compile(r"/glibc-hwcaps/x86-64-v([234])/")


def cpu_level(path: str, elf: Elf) -> str:
    """Return the x86-64 level that a file requires of all processors, or an empty string.

    A file below glibc-hwcaps may require the level of its directory, because the loader
    searches this directory only on processors of that level.
    """
    if not elf.isa:
        return ""
    level = elf.isa.bit_length()
    allowed = _HWCAPS.search(path)
    if level > 4 or (allowed and level <= int(allowed.group(1))):
        return ""
    return "x86-64" if level == 1 else f"x86-64-v{level}"


def kernel(elf: Elf) -> str:
    """Return the oldest kernel that a file supports; an empty string if it names none."""
    return ".".join(map(str, elf.kernel)) if elf.kernel else ""


def check_portability(path: str, elf: Elf) -> Iterator[Finding]:
    """Yield findings for a file that requires a newer processor or kernel."""
    level = cpu_level(path, elf)
    if level > "x86-64":
        yield Finding("portability-cpu", path, f"requires a processor of level {level}")
    if elf.kernel and elf.kernel > OLDEST_KERNEL:
        oldest = ".".join(map(str, OLDEST_KERNEL))
        message = f"requires Linux {kernel(elf)}; Linux {oldest} is still in use"
        yield Finding("portability-kernel", path, message)


def check_place(tree: Tree) -> Iterator[Finding]:
    """Yield a finding for a prefix outside /usr and /opt, the directories of extensions."""
    if not tree.eprefix.startswith(("/usr/", "/opt/")):
        message = "cannot be in a system extension, which has only /usr and /opt"
        yield Finding("outside-usr-opt", tree.eprefix, message)


def check_beside(entry: Entry) -> Iterator[Finding]:
    """Yield a finding for a file of the root outside the prefix."""
    yield Finding("outside-prefix", entry.path, "is outside the prefix")
