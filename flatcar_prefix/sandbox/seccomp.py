# SPDX-License-Identifier: BSD-3-Clause
"""The system call filter of a sandbox: a classic BPF program, see seccomp(2).

It denies operations that namespaces do not isolate: pushing input into a terminal (TIOCSTI and
TIOCLINUX, see ioctl_tty(2)), and the kernel's keyrings (keyrings(7)).
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

TIOCSTI, TIOCLINUX = 0x5412, 0x541C

_X32 = 0x40000000
"""The bit that marks system calls of the x32 ABI."""


@dataclass(frozen=True)
class Abi:
    """The numbers of one ABI: AUDIT_ARCH_* and the system calls."""

    audit: int
    ioctl: int
    keyrings: tuple[int, int, int]
    """add_key, request_key and keyctl."""
    has_x32: bool = False


ABIS: dict[str, tuple[Abi, ...]] = {
    "x86_64": (
        Abi(0xC000003E, 16, (248, 249, 250), has_x32=True),
        Abi(0x40000003, 54, (286, 287, 288)),
    ),
    "aarch64": (
        Abi(0xC00000B7, 29, (217, 218, 219)),
        Abi(0x40000028, 54, (309, 310, 311)),
    ),
}
"""The ABIs that each machine runs, in the order of their use."""

# linux/bpf_common.h and linux/seccomp.h
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
# struct seccomp_data; both machines are little endian.
_NUMBER, _ARCHITECTURE, _SECOND_ARGUMENT = 0, 4, 24


def program(machine: str | None = None) -> bytes | None:
    """Return the filter for this machine, or ``None`` for a machine without a table of calls."""
    abis = ABIS.get(machine or platform.machine())
    if abis is None:
        return None
    code = _instruction(_LOAD, _ARCHITECTURE)
    for abi in abis:
        block = _block(abi)
        code += _instruction(_EQUAL, abi.audit, otherwise=len(block) // 8) + block
    return code + _deny(errno.ENOSYS)


def _block(abi: Abi) -> bytes:
    code = _instruction(_LOAD, _NUMBER)
    if abi.has_x32:
        code += _instruction(_AT_LEAST, _X32, otherwise=1) + _deny(errno.ENOSYS)
    for number in abi.keyrings:
        code += _instruction(_EQUAL, number, otherwise=1) + _deny(errno.ENOSYS)
    code += _instruction(_EQUAL, abi.ioctl, then=1) + _instruction(_RETURN, _ALLOW)
    # The kernel ignores the upper half of the argument, and so does the filter.
    code += _instruction(_LOAD, _SECOND_ARGUMENT)
    for request in (TIOCSTI, TIOCLINUX):
        code += _instruction(_EQUAL, request, otherwise=1) + _deny(errno.EPERM)
    return code + _instruction(_RETURN, _ALLOW)


def _deny(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Return a ``struct sock_filter``; the jumps count instructions to skip."""
    return struct.pack("=HBBI", code, then, otherwise, value)
