# SPDX-License-Identifier: BSD-3-Clause
"""equery: questions about a prefix's packages, for machines without gentoolkit.

One module answers one query. The command line, the output and the exit codes are those of
gentoolkit's ``equery``; what differs on purpose stands in ``docs/equery.md``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

__all__ = ["main"]


def main(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Answers the query that ``argv`` (without the program's name) asks; returns the exit code.

    ``env`` says which root is meant, as it does for Portage: ``ROOT``, ``SYSROOT``, ``EPREFIX``
    and ``PORTAGE_CONFIGROOT``, or none of them for an ordinary native prefix. Default: the
    process's own.
    """
    import os
    import sys

    from flatcar_prefix.equery.cli import run

    return run(
        argv,
        env=os.environ if env is None else env,
        stdout=sys.stdout if stdout is None else stdout,
        stderr=sys.stderr if stderr is None else stderr,
    )
