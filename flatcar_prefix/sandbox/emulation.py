# SPDX-License-Identifier: BSD-3-Clause
"""Run programs of another architecture with QEMU and binfmt_misc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.sandbox.place import Place
from flatcar_prefix.system import namespace, process, programs

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


def register(prefix: Prefix, qemu: Path) -> None:
    """Let the kernel emulate the board's programs in this user namespace, which is new.

    Raise ``OSError`` if the kernel refuses; it allows this since Linux 6.7. The kernel opens QEMU
    now, so the processes of the namespace need not see it.
    """
    namespace.mount("binfmt_misc", _PLACE, "binfmt_misc")
    rule = _BINFMT_RULES[prefix.board.name].format(qemu=qemu)
    Path(_PLACE, "register").write_text(rule, encoding="ascii")


def for_builds(prefix: Prefix) -> Path | None:
    """Return QEMU if :func:`register` works for root's builds of another architecture.

    A child process tries it. Other users depend on the binfmt_misc of the machine, because a user
    namespace of theirs has no root, who owns the files of binfmt_misc.
    """
    if prefix.board.is_native or os.geteuid() != 0:
        return None
    try:
        qemu = programs.which(prefix.board.qemu).resolve()
    except PrefixError:
        return None
    if not (child := os.fork()):
        code = 1
        try:
            namespace.unshare_with_all_users(namespace.CLONE_NEWNS)
            namespace.make_private()
            register(prefix, qemu)
            code = 0
        finally:
            os._exit(code)
    return qemu if os.waitpid(child, 0)[1] == 0 else None


_PLACE = "/proc/sys/fs/binfmt_misc"

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
