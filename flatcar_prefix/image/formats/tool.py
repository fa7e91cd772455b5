# SPDX-License-Identifier: BSD-3-Clause
"""From a selection to an image: one maker a format, each by the format's own tool.

Every maker gives the same bytes for the same selection: files in order, owned by root,
with the selection's times, and identifiers that are derived from what is in.
"""

from __future__ import annotations

from collections.abc import Iterable

from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.system import process

IMAGE, ROOT = "image", "root"
"""Names in the scratch directory, where the tools run: they read neither the prefix's nor
the output's own place, which may have any character in it, from a script."""


def link_root(job: Job) -> None:
    (job.scratch / ROOT).symlink_to(job.selection.root)


def run(job: Job, argv: list[str], **environment: str) -> None:
    """Run a tool in the scratch directory."""
    process.run(argv, env=job.environment() | environment, cwd=job.scratch, capture=True)


def finish(job: Job) -> None:
    """Give the image that a tool has made its place."""
    (job.scratch / IMAGE).rename(job.output)


def write_script(job: Job, name: str, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    (job.scratch / name).write_text(text, encoding="utf-8", errors="surrogateescape")
