# SPDX-License-Identifier: BSD-3-Clause
"""Compiler flags that let a package use instructions that not every processor of a board has.

Instructions in the code prove nothing: libraries choose functions for the processor at run time.
The flags apply to all functions, and the VDB records them for each package. A package with its
own flags, or a prebuilt one, is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.boards import Board

_FLAGS = ("CFLAGS", "CXXFLAGS", "FFLAGS", "FCFLAGS")

_BASELINE = {
    "amd64": frozenset({"x86-64", "k8", "opteron", "athlon64", "athlon-fx"}),
    "arm64": frozenset({"armv8-a", "generic"}),
}
"""The values of -march (and, for arm64, of -mcpu) that all processors of an ARCH support."""

_EXTENSION = re.compile(
    r"-m(?:avx|sse3|ssse3|sse4|fma|bmi|lzcnt|popcnt|movbe|aes|vaes|pclmul|vpclmul|sha|adx|rdrnd"
    r"|rdseed|f16c|xop|tbm|gfni|amx)[\w.-]*"
)
"""Instructions that baseline x86-64 does not have."""


def beyond_baseline(flags: str, arch: str) -> str:
    """Return the first flag that some processors of the ARCH cannot run, or an empty string.

    The last -march and the last -mcpu count, as in gcc.
    """
    baseline = _BASELINE.get(arch)
    words = flags.split()
    if baseline is None:
        return ""
    for name in ("-march=", "-mcpu=") if arch == "arm64" else ("-march=",):
        chosen = [word for word in words if word.startswith(name)]
        if chosen and chosen[-1].removeprefix(name) not in baseline:
            return chosen[-1]
    if arch != "amd64":
        return ""
    return next((word for word in words if _EXTENSION.fullmatch(word)), "")


def check_flags(vardb: Any, board: Board) -> Iterator[Finding]:
    """Yield a finding for each installed package with ELF files and such flags.

    ``vardb`` is a ``portage.dbapi.vartree.vardbapi``. The path is the package's first ELF file.
    """
    for cpv in vardb.cpv_all():
        needed, *flags = vardb.aux_get(cpv, ["NEEDED.ELF.2", *_FLAGS])
        fields = needed.split(";")
        flag = next(filter(None, (beyond_baseline(each, board.arch) for each in flags)), "")
        if flag and len(fields) > 1:
            message = f"belongs to a package that was compiled with {flag}"
            yield Finding("portability-cpu", fields[1], message, package=str(cpv), subject=flag)
