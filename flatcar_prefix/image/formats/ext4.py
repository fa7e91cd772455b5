# SPDX-License-Identifier: BSD-3-Clause
"""The ext4 format."""

from __future__ import annotations

import subprocess

from flatcar_prefix.image.formats import debugfs
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.tool import IMAGE, ROOT, finish, link_root, run, write_script
from flatcar_prefix.image.selection import Entry
from flatcar_prefix.system import process

EXT4_FEATURES = (
    "none,ext_attr,filetype,extent,sparse_super,large_file,huge_file,dir_nlink,"
    "extra_isize,64bit,metadata_csum"
)
"""The features: none from mke2fs.conf, and no journal, because the image is read-only."""


def make_ext4(job: Job) -> None:
    """Make an ext4 image with mke2fs, and fill it with debugfs directly from the prefix.

    ``mke2fs -d`` would copy the owners, the atimes and the ctimes of the prefix.
    """
    entries = job.selection.entries
    blocks = sum(-(-entry.size // 4096) + 1 for entry in entries)
    argv = [
        *("mke2fs", "-q", "-F", "-t", "ext2", "-b", "4096", "-I", "256", "-m", "0"),
        *("-O", EXT4_FEATURES, "-N", str(len(entries) + 16), "-U", job.uuid),
        *("-E", f"hash_seed={job.uuid},lazy_itable_init=0,root_owner=0:0"),
        *(IMAGE, str(blocks + blocks // 16 + len(entries) // 8 + 1024)),
    ]
    link_root(job)
    run(job, argv)
    script = debugfs.commands(
        job.selection,
        epoch=job.epoch,
        content=lambda entry, number: _source(entry, number, job),
        capability=lambda entry, number: _capability(entry, number, job),
    )
    write_script(job, "commands", script)
    argv = ["debugfs", "-w", "-f", "commands", IMAGE]
    result = process.run(
        argv,
        env=job.environment(),
        cwd=job.scratch,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    # debugfs always exits with 0. The first line of its output is its version.
    if complaints := result.stderr.splitlines()[1:]:
        result.returncode, result.stderr = 1, "\n".join(complaints[:2])
        raise process.failure(argv[:1], result)
    run(job, ["resize2fs", "-M", IMAGE])
    finish(job)


def _source(entry: Entry, number: int, job: Job) -> str:
    """Return the name of a file with the entry's content, relative to the scratch directory."""
    if entry.source is not None:
        return f"{ROOT}/{entry.path}"
    name = f"content-{number}"
    (job.scratch / name).write_bytes(entry.content)
    return name


def _capability(entry: Entry, number: int, job: Job) -> str:
    name = f"capability-{number}"
    (job.scratch / name).write_bytes(entry.capability)
    return name
