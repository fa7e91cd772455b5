# SPDX-License-Identifier: BSD-3-Clause
"""Run emerge for a prefix from Python."""

from __future__ import annotations

import os
import time
from typing import TextIO

from flatcar_prefix import environ
from flatcar_prefix.emerge.death import death, newest_log
from flatcar_prefix.errors import BuildError
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.system import process
from flatcar_prefix.system.python import launch
from flatcar_prefix.system.variables import ASTRAY


def run_emerge(prefix: Named, *arguments: str, output: TextIO | None = None) -> None:
    """Run emerge for both roots of a prefix, as its wrapper does.

    ``arguments`` are those of the wrapper: ``--stage`` or ``--install``, options, packages.
    emerge writes to ``output``, a file with a descriptor, while it runs (default: the standard
    streams). Raise :class:`BuildError` with emerge's exit code if it fails; the error has the
    package, the phase, the log and the reason if an ebuild failed.
    """
    prefix = registry.load(prefix)
    prefix.refuse_orphaned()
    started = time.time()
    done = process.run(
        [*launch("emerge", os.fspath(prefix.staging_dir)), *arguments],
        env=environ.variables(without=ASTRAY),
        stdout=output,
        stderr=output,
        check=False,
    )
    if not done.returncode:
        return
    log = newest_log(prefix.staging.tmpdir, started)
    died = death(log) if log else None
    code = process.exit_code(done.returncode)
    if died:
        what = f"{died.package} failed in the phase {died.phase}: {died.reason}"
    else:
        what = f"emerge {' '.join(arguments)} failed with exit code {code}"
    raise BuildError(
        f"{what}; the log is {log}" if log else what,
        hint=f"Read {log}." if log else "Read the output of emerge.",
        exit_code=code,
        package=died.package if died else "",
        phase=died.phase if died else "",
        log=log,
        reason=died.reason if died else "",
    )
