# SPDX-License-Identifier: BSD-3-Clause
"""erofs images."""

from __future__ import annotations

import os

from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.tool import IMAGE, finish, run
from flatcar_prefix.image.formats.tree import tree


def make_erofs(job: Job) -> None:
    """By mkfs.erofs from a tree of hard links; it clamps times to SOURCE_DATE_EPOCH."""
    with tree(job) as source:
        argv = [
            *(
                "mkfs.erofs",
                f"-zlz4hc,{12 if job.level is None else job.level}",
                "-C65536",
                "-Eztailpacking",
            ),
            *("--all-root", "--preserve-mtime", "--quiet"),
            *("-x0" if job.with_xattrs else "-x-1", "-U", job.uuid),
            *(IMAGE, os.fspath(source)),
        ]
        run(job, argv, SOURCE_DATE_EPOCH=str(job.epoch))
    finish(job)
