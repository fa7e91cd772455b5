# SPDX-License-Identifier: BSD-3-Clause
"""equery as a process: from outside the prefix and in its view."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from answers import Equery
from fixture_prefix import EPREFIX, Fixture, in_view

_CALLS = (
    ("list", "*"),
    ("-N", "list", "-po", "*"),
    ("-N", "files", "alpha"),
    ("-N", "belongs", f"{EPREFIX}/usr/bin/zeta"),
    ("check", "*"),
    ("-N", "depends", "-D", "beta"),
    ("-N", "depgraph", "docs"),
    ("-N", "has", "SLOT", "2"),
    ("-N", "hasuse", "foo"),
    ("-N", "keywords", "alpha"),
    ("-N", "meta", "alpha"),
    ("-N", "size", "*"),
    ("-N", "uses", "alpha"),
    ("which", "alpha"),
    ("list", "nothing"),
)


@pytest.mark.needs_root
@pytest.mark.needs_namespaces
@pytest.mark.parametrize("args", _CALLS, ids=" ".join)
def test_the_view_and_the_outside_give_one_answer(
    equery_process: Equery, prefix: Fixture, args: tuple[str, ...]
) -> None:
    outside = equery_process(*args)
    inside = equery_process(
        *args, prepare=lambda command: in_view(prefix, command), env=prefix.view_env()
    )
    assert inside == outside
    assert outside.code in (0, 3)


def test_a_reader_that_goes_away_is_no_error(prefix: Fixture) -> None:
    top = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "flatcar_prefix.equery", "list", *["*"] * 2000],
        env=prefix.cross_env() | {"PYTHONPATH": str(top)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == -signal.SIGPIPE


def test_names_that_the_terminal_cannot_show_are_shown_as_well_as_may_be(
    equery_process: Equery, prefix: Fixture
) -> None:
    env = prefix.cross_env() | {"PYTHONIOENCODING": "ascii"}
    answer = equery_process("files", "extra", env=env)
    assert answer.code == 0
    assert f"{EPREFIX}/usr/share/?ml?ut/?" in answer.lines


def test_installed_packages_are_listed_without_a_configuration(
    equery_process: Equery, prefix: Fixture, tmp_path: Path
) -> None:
    env = prefix.cross_env() | {"PORTAGE_CONFIGROOT": str(tmp_path)}
    assert equery_process("belongs", "bin/zeta", env=env).lines == ["app-misc/zeta-1-r1"]


def test_modules_that_a_query_does_not_need_stay_unloaded(prefix: Fixture) -> None:
    script = (
        "import io, os, sys; from flatcar_prefix.equery import main\n"
        "main(['files', 'alpha'], stdout=io.StringIO())\n"
        "print([m for m in ('lxml', 'argparse', 'portage.package.ebuild.config') if m in sys.modules])"
    )
    top = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=prefix.cross_env() | {"PYTHONPATH": str(top)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"
