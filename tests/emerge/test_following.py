# SPDX-License-Identifier: BSD-3-Clause
"""While emerge runs with its output in a log, its packages are reported, one line each."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay

from flatcar_prefix.emerge.following import elapsed, follow
from flatcar_prefix.emerge.timeline import Tail
from flatcar_prefix.lifecycle import stages
from flatcar_prefix.lifecycle.stages import Stage, Step
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.progress import Progress

COMPILING = """
src_compile() { echo "cc -c the-word.c"; }
src_install() { insinto /usr/share/${CATEGORY}; newins - ${PN} <<<x; }
"""


class Said(Progress):
    """Keeps the reports."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.packages: list[str] = []
        self.lines: list[str] = []
        self.now: list[str] = []

    def package(self, text: str) -> None:
        self.packages.append(text)

    def output(self, line: str) -> None:
        self.lines.append(line)

    def alive(self, text: str) -> None:
        self.now.append(text)


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch, shared_machine: Machine, empty_prefix: InUse) -> Prefix:
    for name, place in shared_machine.places.items():
        monkeypatch.setenv(name, place)
    return registry.load("empty")


def followed(prefix: Prefix, script: str, directory: Path) -> Said:
    """Follow a shell script in place of emerge."""
    said, log = Said(), directory / "log"
    logs = {"STAGING": prefix.staging.logdir, "FINAL": prefix.final.logdir}
    env = {kind: str(place / "emerge.log") for kind, place in logs.items()}
    for place in logs.values():
        place.mkdir(exist_ok=True)
    with log.open("w") as stream:
        argv = ["/bin/sh", "-c", script]
        code = follow(prefix, argv, log=log, stream=stream, label="own", say=said, env=env)
    assert code == 3
    return said


def test_packages_of_both_roots_are_reported_as_portage_logs_them(
    prefix: Prefix, tmp_path: Path
) -> None:
    now = int(time.time())
    said = followed(
        prefix,
        f"""
        echo '{now - 200}:  >>> emerge (1 of 2) a/one-1 to /x/' >> "$STAGING"
        echo '{now - 100}:  >>> emerge (2 of 2) a/two-1-r3 to /x/' >> "$STAGING"
        /bin/sleep 2
        echo '{now - 3}:  ::: completed emerge (2 of 2) a/two-1-r3 to /x/' >> "$STAGING"
        echo '{now}:  ::: completed emerge (1 of 2) a/one-1 to /x/' >> "$STAGING"
        echo '{now}:  >>> emerge (1 of 1) a/one-1 to /y/' >> "$FINAL"
        exit 3
        """,
        tmp_path,
    )
    assert said.packages == [
        "package 2 of 2, a/two-1-r3, staging, 1 min 37 s",
        "package 1 of 2, a/one-1, staging, 3 min 20 s",
    ]
    pattern = r"own: package 1 of 2, a/one-1, staging, 3 min 2\d s; 1 more at once"
    assert re.fullmatch(pattern, said.now[0])


def test_what_an_earlier_emerge_logged_is_not_reported(prefix: Prefix, tmp_path: Path) -> None:
    prefix.staging.logdir.mkdir(exist_ok=True)
    with (prefix.staging.logdir / "emerge.log").open("a") as log:
        log.write("1700000000:  ::: completed emerge (1 of 1) a/old-1 to /x/\n")
    said = followed(prefix, "/bin/sleep 1.5; exit 3", tmp_path)
    assert said.packages == []
    assert said.now[0].startswith("own: resolving, ")


@pytest.mark.parametrize("verbose", [False, True])
def test_a_stage_reports_its_packages_and_the_compilers_if_asked(
    prefix: Prefix, overlay: Overlay, *, verbose: bool
) -> None:
    category = "test-followed" if verbose else "test-follow"
    names = [overlay.ebuild(f"{category}/{name}-1", COMPILING) for name in ("one", "two")]
    stage = Stage("own", "a test", (Step(tuple(names)),))
    said = Said(verbose=verbose)
    stages.run_stage(prefix, stage, label="own", say=said)
    assert {re.sub(r"\d+ s$", "N s", line) for line in said.packages} == {
        f"package {number} of 2, {name}-1, staging, N s" for number, name in enumerate(names, 1)
    }
    assert said.lines.count("cc -c the-word.c") == (2 if verbose else 0)


def test_an_incomplete_line_waits(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    assert tail.lines() == []
    (tmp_path / "log").write_text("one\ntw")
    assert tail.lines() == ["one"]
    (tmp_path / "log").write_text("one\ntwo\n")
    assert tail.lines() == ["two"]


def test_durations_are_read_at_once() -> None:
    assert [elapsed(seconds) for seconds in (-1, 42.9, 187)] == ["0 s", "42 s", "3 min 07 s"]
