# SPDX-License-Identifier: BSD-3-Clause
"""Helpers for formats that run a tool in the scratch directory.

Each format gives the same bytes for the same selection: the files are in order and owned
by root, the times are the selection's, and the identifiers are derived from the content.
"""

from __future__ import annotations

from collections.abc import Iterable

from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.system import process

IMAGE, ROOT = "image", "root"
"""Names in the scratch directory of the image and of a link to the files.

The scripts use these names, because the paths of the prefix and of the output can have any
character.
"""


def link_root(job: Job) -> None:
    (job.scratch / ROOT).symlink_to(job.selection.root)


def run(job: Job, argv: list[str], **environment: str) -> None:
    """Run a tool in the scratch directory; raise :class:`PrefixError` if it fails."""
    process.run(argv, env=job.environment() | environment, cwd=job.scratch, capture=True)


def finish(job: Job) -> None:
    """Move the image from the scratch directory to the output."""
    (job.scratch / IMAGE).rename(job.output)


def write_script(job: Job, name: str, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    (job.scratch / name).write_text(text, encoding="utf-8", errors="surrogateescape")
