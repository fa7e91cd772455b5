# SPDX-License-Identifier: BSD-3-Clause
"""Portage's tools, run by an ordinary user in a prefix and with a cache owned by root."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import stat
import sys
from pathlib import Path

import pytest
from machine import InUse, Machine, Run, two_lines
from ordinary import hiding_python, reaching_python
from tooling import ORDINARY

from flatcar_prefix.system.python import interpreter

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_namespaces]

NAMELESS = 54321
"""A user ID without a name on this machine, as in a container started with --user."""


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


def without_sudo(prefix: InUse, directory: Path, *words: str | Path) -> Run:
    """Run a command as an ordinary user with a sudo that fails."""
    sudo = directory / "sudo"
    sudo.write_text("#!/bin/sh\necho asked for root >&2\nexit 99\n")
    sudo.chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    done = prefix.machine.run(*reaching_python(*words), env={"PATH": path})
    assert done.returncode != 99, (words, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    "words", ["-p", "-pv", "--stage -p", "--install --pretend", "--pretend --verbose"]
)
def test_emerge_shows_its_plan_without_root(toolbox: InUse, open_dir: Path, words: str) -> None:
    done = without_sudo(
        toolbox, open_dir, toolbox.wrapper("emerge"), *words.split(), "app-misc/letter"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    plans = done.stdout.count("app-misc/letter-1.0")
    assert plans == (1 if "--stage" in words or "--install" in words else 2), (
        done.stdout + done.stderr
    )


COLD = {
    "emerge -p app-misc/letter": "app-misc/letter-1.0",
    "emerge --search letter": "app-misc/letter",
    "portageq metadata / ebuild app-misc/letter-1.0 RDEPEND": "app-misc/greeting\n",
    "equery uses greeting": "loud",
}


@pytest.mark.parametrize("line", COLD)
def test_ebuilds_are_read_where_there_is_no_cache(
    toolbox: InUse, open_dir: Path, user: int, line: str
) -> None:
    tool, *words = line.split()
    cache, temporary = open_dir / "cache", open_dir / "temporary"
    cache.mkdir()
    temporary.mkdir()
    os.chown(temporary, user, user)
    env = {"PORTAGE_DEPCACHEDIR": str(cache), "TMPDIR": str(temporary)}
    done = run(toolbox, user, tool, *words, env=env, timeout=60)
    assert (done.returncode, COLD[line] in done.stdout) == (0, True), done.stdout + done.stderr
    assert (os.listdir(cache), os.listdir(temporary)) == ([], [])


ASKED = {
    "emerge --version": "Portage 3.",
    "emerge --help": "emerge",
    "emerge --info": "x86_64-cros-linux-gnu",
    "emerge --search letter": "app-misc/letter",
    "emerge -s letter": "app-misc/letter",
    "emerge --list-sets": "world",
    "emaint --check world": "",
    "emaint --help": "world",
    "env-update --help": "env-update",
    "etc-update --help": "etc-update",
    "quickpkg --help": "quickpkg",
    "fixpackages --help": "fixpackages",
    "regenworld --help": "world file",
    "ebuild --help": "ebuild",
    "ldconfig --help": "ldconfig",
}


@pytest.mark.parametrize("line", ASKED)
def test_what_changes_nothing_needs_no_root(toolbox: InUse, open_dir: Path, line: str) -> None:
    tool, *words = line.split()
    done = without_sudo(toolbox, open_dir, toolbox.wrapper(tool), *words)
    assert (done.returncode, ASKED[line] in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.needs_root
def test_emaint_names_a_file_that_the_user_cannot_read(toolbox: InUse, open_dir: Path) -> None:
    config = toolbox.final / "var/lib/portage/config"
    config.touch()
    before = config.stat()
    os.chown(config, 0, 0)
    config.chmod(0o660)
    try:
        done = without_sudo(toolbox, open_dir, toolbox.wrapper("emaint"), "--check", "cleanconfmem")
    finally:
        os.chown(config, before.st_uid, before.st_gid)
    what, to_do = two_lines(done)
    assert done.returncode == 1
    assert what == f"{toolbox.eprefix}/var/lib/portage/config: Permission denied"
    assert "root" in to_do


def test_ldconfig_prints_the_cache_without_root(toolbox: InUse, open_dir: Path) -> None:
    toolbox.machine.ok(toolbox.wrapper("ldconfig"))
    done = without_sudo(toolbox, open_dir, toolbox.wrapper("ldconfig"), "-p")
    assert (done.returncode, "libs found in cache" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("tool", ["glsa-check", "portageq", "equery", "egencache", "bwrap"])
def test_a_python_that_the_user_cannot_reach_is_named(toolbox: InUse, tool: str) -> None:
    done = toolbox.machine.run(*hiding_python(toolbox.wrapper(tool), "--help"))
    assert done.returncode == 126
    said, to_do = two_lines(done)
    assert f"this user cannot reach {interpreter()}, which {tool} requires" in said
    assert "chmod o+x" in to_do


def test_a_tool_that_is_not_python_does_not_need_it(toolbox: InUse, viewed: InUse) -> None:
    assert toolbox.machine.run(*hiding_python(toolbox.wrapper("gdb"), "--version")).returncode == 0
    assert (
        viewed.machine.run(*hiding_python(viewed.wrapper("viewsh"), "-c", "exit 7")).returncode == 7
    )


def test_setup_and_doctor_warn_of_a_python_that_others_cannot_reach(
    machine: Machine, open_dir: Path
) -> None:
    hidden = open_dir / "hidden"
    shutil.copytree(
        sys.prefix, hidden / "venv", symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    hidden.chmod(0o700)
    python = hidden / "venv/bin/python3"
    checks = json.loads(machine.run(python, "-m", "flatcar_prefix", "doctor", "--json").stdout)
    (check,) = (c for c in checks if c["name"] == "Python for others")
    assert (check["ok"], check["needed"]) == (False, False)
    assert "other users cannot reach" in check["found"]
    done = machine.run(
        python, *machine.setup_command("--bootstrap=none", "warned", "/usr/local/warned")[1:]
    )
    assert (done.returncode, done.stderr.count("other users cannot reach")) == (0, 1), done.stderr


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
