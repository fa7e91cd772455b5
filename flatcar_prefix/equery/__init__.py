# SPDX-License-Identifier: BSD-3-Clause
"""equery: queries about a prefix's packages, for machines without gentoolkit.

Each query has its own module. The command line, the output and the exit codes are those of
gentoolkit's ``equery``; ``docs/equery.md`` lists the intended differences.
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
    """Run the query in ``argv`` (without the program's name) and return the exit code.

    ``env`` selects the root, as for Portage: ``ROOT``, ``SYSROOT``, ``EPREFIX`` and
    ``PORTAGE_CONFIGROOT``, or none of them for an ordinary native prefix. The default is the
    environment of the process.
    """
    import sys

    from flatcar_prefix import environ
    from flatcar_prefix.equery.cli import run

    return run(
        argv,
        env=environ.variables() if env is None else env,
        stdout=sys.stdout if stdout is None else stdout,
        stderr=sys.stderr if stderr is None else stderr,
    )
