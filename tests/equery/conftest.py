# SPDX-License-Identifier: BSD-3-Clause
"""One fixture prefix for all tests of equery, and calling equery on it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from answers import Answer, Equery, Terminal
from fixture_prefix import Fixture, build

from flatcar_prefix.equery import main

_TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    return build(tmp_path_factory.mktemp("equery") / "fixture")


@pytest.fixture
def equery(prefix: Fixture) -> Equery:
    """Asks from outside the prefix, in this process; `tty=True` as on a terminal."""

    def ask(*args: str, tty: bool = False, **env: str) -> Answer:
        out, err = (Terminal() if tty else io.StringIO()), io.StringIO()
        variables = prefix.cross_env() | {"COLUMNS": "80", "TERM": "xterm"} | env
        code = main(args, env=variables, stdout=out, stderr=err)
        return Answer(code, out.getvalue(), err.getvalue())

    return ask


@pytest.fixture
def equery_process(prefix: Fixture) -> Equery:
    """The same in a separate process: `prepare` wraps its command, `env` is all it has."""

    def ask(
        *args: str,
        prepare: Callable[[list[str]], list[str]] = lambda command: command,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Answer:
        command = prepare([sys.executable, "-m", "flatcar_prefix.equery", *args])
        variables = (prefix.cross_env() if env is None else env) | {"PYTHONPATH": str(_TOP)}
        done = subprocess.run(
            command, env=variables, cwd=cwd, capture_output=True, text=True, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return ask
