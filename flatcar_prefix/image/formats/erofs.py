# SPDX-License-Identifier: BSD-3-Clause
"""The erofs format."""

from __future__ import annotations

import os

from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.tool import IMAGE, finish, run
from flatcar_prefix.image.formats.tree import tree


def make_erofs(job: Job) -> None:
    """Make an erofs image with mkfs.erofs, which clamps times to SOURCE_DATE_EPOCH.

    The source is a tree of hard links.
    """
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
            *(["--file-contexts", os.fspath(job.labels)] if job.labels else []),
            *(IMAGE, os.fspath(source)),
        ]
        run(job, argv, SOURCE_DATE_EPOCH=str(job.epoch))
    finish(job)
