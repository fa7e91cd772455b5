# SPDX-License-Identifier: BSD-3-Clause
"""Namespaces, mounts and rights of this process: system calls that Python does not have.

The functions raise ``OSError``. The numbers and flags are those of Linux, see the man pages
that the docstrings name; the numbers of calls since Linux 5.2 are the same on all
architectures.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

_READ_ONLY = MS_RDONLY | MS_NOSUID | MS_NODEV
"""MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID and MOUNT_ATTR_NODEV have the numbers of mount(2)."""

CAPABILITIES = {
    "chown": 0,
    "dac_override": 1,
    "fowner": 3,
    "fsetid": 4,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
    "setfcap": 31,
}
"""The numbers of capabilities, see linux/capability.h."""


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags: int) -> None:
    """Move this process to new namespaces, see unshare(2)."""
    _check(_libc().unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Mount a file system or change a mount, see mount(2)."""
    words = (os.fsencode(word) for word in (source, target, kind))
    _check(_libc().mount(*words, ctypes.c_ulong(flags), os.fsencode(data) or None), target)


def make_private() -> None:
    """Make all mounts private: changes do not propagate to or from other mount namespaces."""
    mount("none", "/", "none", MS_REC | MS_PRIVATE)


def clone_tree(path: str) -> int:
    """Return a descriptor of a detached copy of the mounts at and below ``path``.

    See open_tree(2), Linux 5.2. Later mounts over ``path`` do not change the copy.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    call = _libc().syscall
    return _check(call(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), ctypes.c_uint(flags)), path)


def attach(tree: int, target: str) -> None:
    """Mount a descriptor of :func:`clone_tree` at ``target``, and close the descriptor."""
    flags = ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
    words = (tree, b"", _AT_FDCWD, os.fsencode(target), flags)
    _check(_libc().syscall(_MOVE_MOUNT, *words), target)
    os.close(tree)


def make_read_only(path: str = "/") -> None:
    """Make all mounts at and below ``path`` read-only, without devices and setuid programs.

    See mount_setattr(2), Linux 5.12; an older kernel gets a remount for each mount.
    """
    attributes = struct.pack("=QQQQ", _READ_ONLY, 0, 0, 0)
    words = (_AT_FDCWD, os.fsencode(path), ctypes.c_uint(_AT_RECURSIVE))
    try:
        _check(_libc().syscall(_MOUNT_SETATTR, *words, attributes, len(attributes)), path)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        for point, flags in _mounts_below(path):
            mount("none", point, "none", MS_REMOUNT | MS_BIND | flags | _READ_ONLY)


def _mounts_below(path: str) -> Iterator[tuple[str, int]]:
    """Yield each mount point at or below ``path`` with its flags, see proc_pid_mountinfo(5)."""
    known = {"noexec": MS_NOEXEC, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
    top = path.rstrip("/")
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        words = line.split()
        point = words[4].encode().decode("unicode_escape")
        if point == path or point.startswith(f"{top}/"):
            yield point, sum(known.get(word, 0) for word in words[5].split(","))


def change_root(new_root: str) -> None:
    """Make the mount ``new_root`` the root of this mount namespace, see pivot_root(2)."""
    os.chdir(new_root)
    libc = _libc()
    numbers = {"x86_64": 155, "aarch64": 41}
    pivot = numbers.get(os.uname().machine)
    if pivot is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "pivot_root")
    _check(libc.syscall(pivot, b".", b"."), new_root)
    _check(libc.umount2(b".", _MNT_DETACH), new_root)
    os.chdir("/")


def map_own_user(uid: int, gid: int) -> None:
    """Keep ``uid`` and ``gid`` in the user namespace that this process has just made."""
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1\n", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1\n", encoding="ascii")


def unshare_with_all_users(flags: int) -> None:
    """Move this process to a new user namespace, and to those of ``flags``; it has to be root.

    All users and groups keep their numbers. A process outside the new namespace has to write such
    a map, see user_namespaces(7).
    """
    own = os.readlink("/proc/self")
    (waiting, start), (done, written) = os.pipe(), os.pipe()
    if not (child := os.fork()):
        with suppress(OSError):
            os.close(start)
            if os.read(waiting, 1):
                for name in ("uid_map", "gid_map"):
                    Path("/proc", own, name).write_text("0 0 4294967295\n", encoding="ascii")
                os.write(written, b"+")
        os._exit(0)
    os.close(waiting)
    os.close(written)
    try:
        unshare(CLONE_NEWUSER | flags)
        os.write(start, b"+")
    finally:
        os.close(start)
        success = os.read(done, 1)
        os.close(done)
        os.waitpid(child, 0)
    if not success:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), "uid_map")


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def drop_rights(keep: Iterable[int]) -> None:
    """Give up all capabilities but ``keep``, for this process and all that it executes.

    A program that it executes gains no capability from its file, see PR_SET_NO_NEW_PRIVS in
    prctl(2); the bounding set keeps root to ``keep``, see capabilities(7).
    """
    libc, kept = _libc(), frozenset(keep)
    for number in range(64):
        if number not in kept and libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0):
            if (reason := ctypes.get_errno()) == errno.EINVAL:
                break  # The kernel has no further capability.
            if os.geteuid() == 0:
                raise OSError(reason, os.strerror(reason), "capabilities")
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _limit_capabilities(libc, kept)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _limit_capabilities(libc: Any, kept: frozenset[int]) -> None:
    """Limit the capability sets of this process to ``kept``."""
    version = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
    header = ctypes.create_string_buffer(struct.pack("=Ii", version, 0))
    data = ctypes.create_string_buffer(24)
    _check(libc.capget(header, data), "capget")
    words = struct.unpack("=6I", data.raw[:24])
    masks = [sum(1 << n - 32 * half for n in kept if n // 32 == half) for half in (0, 1)]
    limited = []
    for half, mask in enumerate(masks):
        effective, permitted, _inheritable = words[3 * half : 3 * half + 3]
        limited += [effective & mask, permitted & mask, 0]
    data = ctypes.create_string_buffer(struct.pack("=6I", *limited))
    _check(libc.capset(header, data), "capset")


FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)


def enter_process_namespace(*, keep: Iterable[int]) -> None:
    """Continue in a new PID namespace and a new session.

    The function returns in a child process. The calling process waits for the child, forwards
    signals to it, and ends with its status. A third process is the init of the namespace; it keeps
    only the capabilities ``keep``. The caller mounts ``/proc`` again.
    """
    unshare(CLONE_NEWPID)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    if init := os.fork():
        _forward(lambda number: os.kill(init, number), blocked)
        _end_as(_wait(init))
    end_with_parent()
    become_init(lambda: drop_rights(keep))
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def become_init(in_init: Callable[[], None] = lambda: None) -> None:
    """Continue in a child process and a new session.

    The calling process is the first of a PID namespace. It calls ``in_init``, forwards signals to
    all processes of the namespace, waits for them, and ends with the status of the child. If the
    standard output is a terminal without a session, it becomes the controlling terminal.
    """
    os.setsid()
    with suppress(OSError):
        # It fails for a standard output without a terminal, or one of another session.
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    if child := os.fork():
        in_init()
        _forward(lambda number: os.kill(-1, number), ())
        _end_as(_wait(child))
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _forward(send: Any, mask: Any) -> None:
    def handler(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            send(number)

    for number in FORWARDED:
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait(wanted: int) -> int:
    """Wait for all children until ``wanted`` has ended; return its exit code."""
    while True:
        pid, status = os.wait()
        if pid == wanted:
            return os.waitstatus_to_exitcode(status)


def _end_as(code: int) -> None:
    """End this process with an exit code, or by a signal."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = 128 - code  # The signal has no effect on the init of a namespace.
    os._exit(code)
