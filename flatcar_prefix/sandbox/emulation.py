# SPDX-License-Identifier: BSD-3-Clause
"""Run programs of another architecture with QEMU and binfmt_misc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.sandbox.place import Place
from flatcar_prefix.system import process, programs

EMULATOR = "/run/flatcar-prefix/emulator"


def interpreted(place: Place, argv: Sequence[str], *, depth: int = 4) -> list[str]:
    """Return the command that runs ``argv`` without the kernel's help with scripts.

    An emulator loads ELF files only, so the command must name a script's interpreter.
    """
    host = place.resolve(argv[0])
    with host.open("rb") if host else open(os.devnull, "rb") as file:
        line = file.read(256).split(b"\n", 1)[0]
    if not line.startswith(b"#!") or not depth:
        return list(argv)
    words = line[2:].decode("utf-8", "surrogateescape").strip().split(None, 1)
    return interpreted(place, [*words, *argv], depth=depth - 1) if words else list(argv)


def binfmt(prefix: Prefix, qemu: Path) -> list[str]:
    """Return a command that runs another one with binfmt_misc set up for the board.

    Since Linux 6.7 a user namespace can have its own binfmt_misc. The kernel then also
    emulates child processes, and the machine's configuration does not change. The result
    is empty if that fails; then QEMU emulates only the program itself.
    """
    rule = _BINFMT_RULES[prefix.board.name].format(qemu=qemu)
    words = [
        *("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"),
        *("sh", "-euc", _BINFMT, "sh", rule),
    ]
    tried = process.run([*words, "true"], check=False, capture=True)
    return [os.fspath(programs.which("unshare")), *words[1:]] if not tried.returncode else []


_BINFMT = """\
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s "$1" > /proc/sys/fs/binfmt_misc/register
shift
exec "$@"
"""

_ELF = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"

_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"

_BINFMT_RULES = {
    "amd64-usr": ":flatcar-prefix:M::" + _ELF + r"\x3e\x00:" + _MASK + ":{qemu}:F",
    "arm64-usr": ":flatcar-prefix:M::" + _ELF + r"\xb7\x00:" + _MASK + ":{qemu}:F",
}
"""Magic numbers of the ELF header: 64 bits, little endian, a program, the machine."""
