# SPDX-License-Identifier: BSD-3-Clause
"""``<chost>-ldconfig``, which Portage's env-update calls with ``-X -r <ROOT>``.

It writes the cache of the prefix's own loader, ``<EPREFIX>/etc/ld.so.cache``. It runs the
prefix's own ldconfig, which knows the loader's search path; for another architecture, QEMU
runs it. Without one, the machine's ldconfig serves its own architecture, with explicit paths.
"""

from __future__ import annotations

import os
import shlex

from flatcar_prefix.prefix.model import Prefix


def text(prefix: Prefix) -> str:
    """Return the script."""
    board, eprefix = prefix.board, prefix.eprefix
    native = board.is_native
    emulator = "" if native else f"{board.qemu} "
    options = shlex.join(["-f", f"{eprefix}/etc/ld.so.conf", "-C", f"{eprefix}/etc/ld.so.cache"])
    directories = shlex.join([f"{eprefix}/{board.libdir}", f"{eprefix}/usr/{board.libdir}"])
    lines = [
        "#!/bin/sh",
        f"# ldconfig of the prefix {prefix.id}, for any of its roots: -r names it.",
        "set -eu",
        f"for own in {shlex.quote(os.fspath(prefix.staging.eroot))}/sbin/ldconfig"
        f" {shlex.quote(os.fspath(prefix.staging.eroot))}/usr/sbin/ldconfig; do",
        '\tif [ -x "${own}" ]; then',
        f'\t\texec {emulator}"${{own}}" {options} "$@"',
        "\tfi",
        "done",
    ]
    if native:
        lines += [
            "PATH=${PATH}:/usr/sbin:/sbin",
            "export PATH",
            "# ldconfig accepts directories only if it writes a cache.",
            'case " $* " in',
            f'*" -p "* | *" --print-cache "*) exec ldconfig {options} "$@" ;;',
            f'*) exec ldconfig {options} "$@" {directories} ;;',
            "esac",
        ]
    else:
        lines += [
            f"echo ' * no ldconfig for {board.uname_machine}: sys-libs/glibc is not installed' >&2",
            "exit 127",
        ]
    return "\n".join(lines) + "\n"
