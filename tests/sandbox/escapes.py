# SPDX-License-Identifier: BSD-3-Clause
"""Ways of a build to change something outside, each a piece of a phase.

Each prints ``ESCAPED <name>`` if it seems to have worked; the test looks at the machine, too.
"""

from __future__ import annotations

PYTHON = "python3 -I -S"

WAYS = {
    "absolute-path": 'echo x >"{outside}/absolute-path"',
    "overwrite": 'echo x >>"{outside}/file"',
    "remove": 'rm -f "{outside}/file" && [[ ! -e {outside}/file ]]',
    "chmod": 'chmod 0777 "{outside}/file"',
    "utime": 'touch -d @1 "{outside}/file"',
    "rename": 'mv "{outside}/file" "{outside}/other"',
    "symlink": 'ln -s "{outside}" "${{T}}/link" && echo x >"${{T}}/link/symlink"',
    "hard-link": 'ln "{outside}/file" "${{T}}/hard" && echo x >>"${{T}}/hard"',
    "dot-dot": 'cd "${{WORKDIR}}" && echo x >"../../../../../../../../../../../../../../..{outside}/dot-dot"',
    "proc-self-root": 'echo x >"/proc/self/root{outside}/proc-self-root"',
    "proc-1-root": 'echo x >"/proc/1/root{outside}/proc-1-root"',
    "proc-parent-cwd": 'for p in /proc/[0-9]*; do echo x >"${{p}}/root{outside}/proc-n"'
    " && break; done 2>/dev/null",
    "usr-local": "echo x >/usr/local/flatcar-prefix-escaped",
    "etc": "echo x >/etc/flatcar-prefix-escaped",
    "device-node": 'mknod "${{T}}/disk" b {disk} && exec 3<>"${{T}}/disk"',
    "dev-mem": "exec 3<>/dev/mem",
    "dev-node-of-machine": "compgen -G '/dev/[svxn][dv][a-z]*'",
    "chroot": 'chroot /proc/self/root true && chroot "${{T}}" true',
    "mount-remount": "mount -o remount,bind,rw /",
    "mount-bind": 'mkdir "${{T}}/m" && mount --bind / "${{T}}/m"',
    "umount": "umount /tmp",
    "unshare-remount": "unshare --user --map-root-user --mount sh -c"
    " 'mount -o remount,bind,rw / && echo x >\"{outside}/unshare\"'",
    "unshare-umount": "unshare --user --map-root-user --mount sh -c 'umount /tmp || umount -l /tmp'",
    "nsenter": "nsenter --target 1 --mount --pid true && [[ -e /proc/{pid} ]]",
    "setuid-program": 'cp /bin/bash "${{T}}/suid" && chmod 4755 "${{T}}/suid" &&'
    ' setpriv --reuid 65534 --clear-groups "${{T}}/suid" -p -c "[[ \\${{EUID}} == 0 ]]"',
    "ptrace": PYTHON
    + " -c 'import ctypes,sys; sys.exit(ctypes.CDLL(None).ptrace(16, {pid}, 0, 0) != 0)'",
    "kill": "kill -0 {pid}",
    "abstract-socket": PYTHON
    + " -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0{abstract}\")'",
    "path-socket": PYTHON
    + " -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{tmp}/socket\")'",
    "network": PYTHON + " -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 2)'",
    "dev-shm": "[[ -e /dev/shm/{mark} ]] || {{ echo x >/dev/shm/{mark}.escaped; false; }}",
    "tmp": "[[ -e /tmp/{mark} ]] || {{ echo x >/tmp/{mark}.escaped; false; }}",
    "sysv-ipc": "ipcs -m | grep -q {shm}",
    "cgroup": "for c in /sys/fs/cgroup /sys/fs/cgroup/*; do"
    ' mkdir "${{c}}/flatcar-prefix-escaped" && break; done 2>/dev/null',
    "sysctl": "echo /tmp/core >/proc/sys/kernel/core_pattern",
    "sysrq": "echo h >/proc/sysrq-trigger",
    "sysfs": "echo 0 >/sys/kernel/uevent_seqnum || echo x >/sys/power/pm_test",
    "hostname": "hostname flatcar-prefix-escaped && [[ {host} == flatcar-prefix-escaped ]]",
    "clock": "date -s @0",
    "open-by-handle": PYTHON + " ${{FILESDIR}}/handle.py {outside}/file ${{T}}",
    "module": "modprobe --force loop 2>/dev/null && insmod /nowhere",
    "chattr": 'chattr +i "${{T}}/environment"',
}
"""The shell commands, with the names of their targets."""

HANDLE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
handle, mount = Handle(bytes=128), ctypes.c_int()
if libc.name_to_handle_at(-100, sys.argv[1].encode(), ctypes.byref(handle), ctypes.byref(mount), 0):
    sys.exit("no handle")
own = os.open(sys.argv[2], os.O_RDONLY)
fd = libc.open_by_handle_at(own, ctypes.byref(handle), os.O_WRONLY | os.O_APPEND)
sys.exit(fd < 0 or os.write(fd, b"x") != 1)
"""
"""A file is opened by its handle, through a mount of the same file system that is writable."""


def phase(values: dict[str, str]) -> str:
    """Return the shell code that tries each way."""
    tries = [f"( {way.format(**values)} ) && echo ESCAPED {name}" for name, way in WAYS.items()]
    return "\n".join((*tries, "true"))
