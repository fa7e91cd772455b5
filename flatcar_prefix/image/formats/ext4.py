# SPDX-License-Identifier: BSD-3-Clause
"""ext4 images."""

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
"""No journal, since the image is never written to, and nothing of the machine's mke2fs.conf."""


def make_ext4(job: Job) -> None:
    """By mke2fs, filled by debugfs straight from the prefix, since ``mke2fs -d`` would keep
    the owners, the times of access and of change that the prefix happens to have."""
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
    # It exits 0 whatever happens; the first line is its version.
    if complaints := result.stderr.splitlines()[1:]:
        result.returncode, result.stderr = 1, "\n".join(complaints[:2])
        raise process.failure(argv[:1], result)
    run(job, ["resize2fs", "-M", IMAGE])
    finish(job)


def _source(entry: Entry, number: int, job: Job) -> str:
    """Return the name, in the scratch directory, of a file that has the entry's content."""
    if entry.source is not None:
        return f"{ROOT}/{entry.path}"
    name = f"content-{number}"
    (job.scratch / name).write_bytes(entry.content)
    return name


def _capability(entry: Entry, number: int, job: Job) -> str:
    name = f"capability-{number}"
    (job.scratch / name).write_bytes(entry.capability)
    return name
