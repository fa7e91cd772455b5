# SPDX-License-Identifier: BSD-3-Clause
"""Links in /usr/bin of the target to programs of the prefix, for the PATH of its users."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.image.selection import Entry, Selection

BIN = "usr/bin"

DIRECTORIES = ("usr/bin", "bin", "usr/sbin", "sbin")
"""The search path, relative to EPREFIX, for a program without a directory."""

OF_TARGET = frozenset(
    """
    [ awk base64 basename bash bootctl bunzip2 busctl bzcat bzip2 cat chattr chcon chgrp chmod
    chown chroot cmp cp curl cut date dbus-daemon dd df diff dir dirname dmesg dnsdomainname
    docker du echo egrep env expr false fgrep find findmnt flock fold gawk getent getfacl getopt
    git gpasswd grep groups gunzip gzip head hostname hostnamectl iconv id install ionice ipcrm
    ipcs journalctl kill killall kmod last ldd less ln locale localectl localedef logger login
    loginctl ls lsattr lsblk lscpu lsmod md5sum mkdir mkfifo mknod mktemp modprobe more mount
    mountpoint mv networkctl newgrp nice nohup nproc nsenter numfmt od openssl passwd paste perl
    pgrep pidof ping pkill printenv printf ps pwd readlink realpath renice resolvectl rm rmdir
    rsync run-parts scp sed seq setfacl setpriv sftp sh sha1sum sha256sum sha512sum shuf sleep
    sort split ssh ssh-add ssh-agent ssh-keygen stat stdbuf strings stty su sudo sum sync
    systemctl systemd-analyze systemd-cat systemd-cgls systemd-cgtop systemd-confext
    systemd-detect-virt systemd-nspawn systemd-run systemd-sysext systemd-tmpfiles tac tail tar
    taskset tee test timedatectl timeout tmux toolbox touch tr true truncate tty udevadm umount
    uname uniq unlink unshare uptime users vi vim wc wget which who whoami xargs xz xzcat yes
    zcat zstd
    """.split()
)
"""Standard programs in /usr/bin of a Flatcar host or of another host with systemd."""

_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*")


def entries(selection: Selection, eprefix: str, links: Sequence[str]) -> Iterable[Entry]:
    """Return the link entries for ``links``, each a ``PROGRAM[:NAME]``.

    Raise :class:`UsageError` for an invalid, duplicate or standard name, and
    :class:`PrefixError` for a program that is not in the image.
    """
    found: dict[str, Entry] = {}
    for text in links:
        program, _, name = text.partition(":")
        name = name or PurePosixPath(program).name
        if not program or not _NAME.fullmatch(name):
            raise UsageError(
                f"the link {text!r} is not valid", hint="Write it as PROGRAM or PROGRAM:NAME."
            )
        path = f"{BIN}/{name}"
        if name in OF_TARGET:
            raise UsageError(
                f"a link /{path} would hide the target's own {name}",
                hint=f"Choose another name, such as --link {program}:my-{name}",
            )
        if path in found or path in selection.by_path:
            raise UsageError(
                f"/{path} is in the image twice", hint="Choose another name for the link."
            )
        target = _find(selection, eprefix, program)
        found[path] = Entry(path, stat.S_IFLNK | 0o777, len(target), target=target)
    return found.values()


def _find(selection: Selection, eprefix: str, program: str) -> str:
    """Return the path on the target of a program of the prefix."""
    inside = program.removeprefix(eprefix + "/")
    candidates = [inside] if "/" in inside else [f"{place}/{inside}" for place in DIRECTORIES]
    for candidate in candidates:
        target = f"{eprefix}/{candidate.lstrip('/')}"
        if selection.holds(target.lstrip("/")):
            return target
    raise PrefixError(
        f"the image does not contain the program {program}",
        hint="Choose a program of the prefix by its name, or by its path in the prefix.",
    )
