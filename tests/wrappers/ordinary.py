# SPDX-License-Identifier: BSD-3-Clause
"""Run commands as an ordinary user with access to this program's Python.

pyenv keeps Pythons below root's home, which other users cannot search. In a private mount
namespace, directories that contain nothing but the Pythons replace the unsearchable ones.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path

from machine import CHECKOUT
from tooling import ORDINARY, as_ordinary_user

NEEDED = (sys.base_prefix, sys.prefix, CHECKOUT)


def hidden_by(path: Path) -> Path | None:
    """Return the first directory of ``path`` that other users cannot search."""
    way = reversed((path, *path.parents))
    return next((d for d in way if not d.stat().st_mode & stat.S_IXOTH), None)


def hiding_python(*words: str | Path) -> list[str]:
    """Return a command line that runs ``words`` as an ordinary user, without access to Python."""
    python = shlex.quote(os.path.realpath(sys.executable))
    script = f'set -e\nmount -t tmpfs none /mnt\n: >/mnt/none\nmount --bind /mnt/none {python}\nexec "$@"\n'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *as_ordinary_user(*words)]


def reaching_python(*words: str | Path, user: int = ORDINARY) -> list[str]:
    """Return a command line that runs ``words`` as an ordinary user, with access to Python."""
    argv = as_ordinary_user(*words, user=user)
    paths = [path for path in (Path(p).resolve() for p in NEEDED) if hidden_by(path)]
    if os.geteuid() or not paths:
        return argv
    opened = list(enumerate(map(str, paths), start=3))
    lines = ["set -e", *(f"exec {fd}<{shlex.quote(path)}" for fd, path in opened)]
    lines += [
        f"mount -t tmpfs -o mode=0755 none {shlex.quote(str(d))}"
        for d in {hidden_by(p) for p in paths}
    ]
    for fd, path in opened:
        quoted = shlex.quote(path)
        lines += [
            f"mkdir -p {quoted}",
            f"mount --no-canonicalize --bind /proc/self/fd/{fd} {quoted}",
        ]
    lines += [*(f"exec {fd}<&-" for fd, _ in opened), 'exec "$@"']
    return ["unshare", "--mount", "sh", "-c", "\n".join(lines), "sh", *argv]
