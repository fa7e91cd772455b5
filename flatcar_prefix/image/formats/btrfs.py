# SPDX-License-Identifier: BSD-3-Clause
"""The btrfs format."""

from __future__ import annotations

import os
import subprocess
import uuid
from typing import IO

from flatcar_prefix.image.formats import btrfs_normalise, tar
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.selection import Selection
from flatcar_prefix.system import process, programs


def feed(argv: list[str], job: Job, *, tool: str) -> None:
    """Run a program with the selection as a tar stream on its standard input.

    The program's output goes to memory, because the disk can be full. ``tool`` is the
    program's name in error messages. Raise :class:`PrefixError` if the program fails.
    """
    program = programs.which(argv[0])
    with os.fdopen(os.memfd_create("log"), "w+", errors="replace") as log:
        child = subprocess.Popen(
            [os.fspath(program), *argv[1:]],
            env=job.environment(),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        assert child.stdin is not None
        try:
            _write_all(job.selection, child.stdin)
            code = child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
        log.seek(0)
        result = subprocess.CompletedProcess(argv, code, "", log.read())
    if code:
        raise process.failure(argv, result, name=tool)


def _write_all(selection: Selection, pipe: IO[bytes]) -> None:
    try:
        with pipe:
            tar.write(selection, pipe)
    except BrokenPipeError:
        pass  # The program's output has the reason.


_BTRFS = """\
mount -t tmpfs -o mode=0755 tmpfs "$1"
tar --extract --file=- --directory="$1" --preserve-permissions --numeric-owner --xattrs \\
    --xattrs-include='security.capability'
touch --date="@$2" "$1"
shift 2
exec "$@"
"""


def make_btrfs(job: Job) -> None:
    """Make a btrfs image with mkfs.btrfs from a tree on a new tmpfs.

    mkfs.btrfs copies inode numbers, link counts and the order of names from the source tree.
    On a new tmpfs that is filled in order, these values are always the same.
    """
    source = job.scratch / "tree"
    source.mkdir()
    job.output.touch()
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    argv = [
        *(*unshare, "sh", "-euc", _BTRFS, "sh", os.fspath(source), str(job.epoch)),
        *("mkfs.btrfs", "-q", "-M", "-m", "single", "-d", "single", "-U", job.uuid),
        *("--shrink", "--rootdir", os.fspath(source), os.fspath(job.output)),
    ]
    programs.which("mkfs.btrfs")
    feed(argv, job, tool="mkfs.btrfs")
    btrfs_normalise.normalise(job.output, epoch=job.epoch, identity=uuid.UUID(job.uuid))
