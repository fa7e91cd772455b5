# SPDX-License-Identifier: BSD-3-Clause
"""btrfs images."""

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
    """Run a program with the selection in tar's format as its standard input.

    What it says is kept in memory, since a full disk is what it may have to tell of.
    ``tool`` is what the user knows it by.
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
        pass  # The program says why it stopped reading.


_BTRFS = """\
mount -t tmpfs -o mode=0755 tmpfs "$1"
tar --extract --file=- --directory="$1" --preserve-permissions --numeric-owner --xattrs \\
    --xattrs-include='security.capability'
touch --date="@$2" "$1"
shift 2
exec "$@"
"""


def make_btrfs(job: Job) -> None:
    """By mkfs.btrfs from a tmpfs of its own.

    It takes numbers of inodes, counts of links and the order of names from the tree that it
    is given: on a fresh tmpfs, filled in order, those are the same every time.
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
