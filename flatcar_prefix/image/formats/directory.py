# SPDX-License-Identifier: BSD-3-Clause
"""The directory format: a directory instead of an image."""

from __future__ import annotations

import os

from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.tree import clone, plant
from flatcar_prefix.image.selection import CAPABILITY


def make_directory(job: Job) -> None:
    """Copy the files into a directory; the copies share blocks if the file system can."""
    job.output.mkdir()
    job.output.chmod(0o755)
    plant(job.selection, job.output, how=clone)
    os.utime(job.output, (job.epoch, job.epoch))
    if os.geteuid() == 0:
        for entry in job.selection.entries:
            path = job.output / entry.path
            # Change the owner before the mode, because chown(2) clears setuid.
            os.chown(path, 0, 0, follow_symlinks=False)
            if entry.is_file:
                path.chmod(entry.permissions)
                if entry.capability:
                    os.setxattr(path, CAPABILITY, entry.capability)
