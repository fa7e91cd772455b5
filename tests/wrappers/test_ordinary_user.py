# SPDX-License-Identifier: BSD-3-Clause
"""Portage's tools as an ordinary user, in a prefix of root's with a cache of root's."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest
from machine import InUse, Machine, Run
from ordinary import reaching_python
from tooling import ORDINARY

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_namespaces]

NAMELESS = 54321
"""A user number that has no name on this machine, as in a container started with --user."""


@pytest.fixture(params=[ORDINARY, 1, NAMELESS])
def user(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def run(prefix: InUse, user: int, tool: str, *args: str | Path, **options: object) -> Run:
    done = prefix.machine.run(*reaching_python(prefix.wrapper(tool), *args, user=user), **options)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_the_cache_is_roots_and_can_be_read(toolbox: InUse) -> None:
    cache = (toolbox.machine.base / "cache/depcache").stat()
    assert (cache.st_uid, bool(cache.st_mode & stat.S_IXOTH)) == (0, True)


def test_glsa_check_opens_the_ebuild_database(toolbox: InUse, user: int) -> None:
    done = run(toolbox, user, "glsa-check", "-t", "all")
    assert done.returncode == 0, done.stderr
    assert "not affected" in done.stderr


def test_portageq_answers(toolbox: InUse, user: int) -> None:
    done = run(toolbox, user, "portageq", "best_visible", "/", "app-misc/letter")
    assert (done.returncode, done.stdout) == (0, "app-misc/letter-1.0\n"), done.stderr


ANSWERS = {"list": "app-misc/letter-1.0\n", "uses": "loud", "which": "/letter-1.0.ebuild\n"}


@pytest.mark.parametrize("query", ANSWERS)
def test_equery_answers(toolbox: InUse, user: int, query: str) -> None:
    done = run(toolbox, user, "equery", query, "app-misc/greeting" if query == "uses" else "letter")
    assert done.returncode == 0, done.stderr
    assert ANSWERS[query] in done.stdout


def test_a_tool_in_the_view_knows_the_caller_by_the_callers_own_names(viewed: InUse) -> None:
    names = 'echo "$PORTAGE_USERNAME $PORTAGE_GRPNAME $PORTAGE_INST_UID $PORTAGE_INST_GID"'
    env = {"PORTAGE_USERNAME": "portage", "PORTAGE_GRPNAME": "portage"}
    done = run(viewed, 1, "viewsh", "-c", names, env=env)
    assert done.stdout == f"{pwd.getpwuid(1).pw_name} {grp.getgrgid(1).gr_name} 1 1\n", done.stderr


def test_etc_update_settles_updates_in_a_prefix_of_the_callers(open_dir: Path) -> None:
    prefix = Machine(open_dir / "machine").setup("mine")
    conf = prefix.final / "etc/greeting/conf"
    conf.parent.mkdir()
    conf.write_text("volume = 1\n")
    (conf.parent / "._cfg0000_conf").write_text("volume = 5\n")
    for place in (prefix.staging_dir, prefix.final_dir):
        for path in (place, *place.rglob("*")):
            os.chown(path, 1, 1, follow_symlinks=False)
    done = run(prefix, 1, "etc-update", "--automode", "-5")
    assert (done.returncode, done.stderr) == (0, "")
    assert conf.read_text() == "volume = 5\n"
    assert (conf.stat().st_uid, os.listdir(conf.parent)) == (1, ["conf"])
