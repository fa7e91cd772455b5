# SPDX-License-Identifier: BSD-3-Clause
"""From a recipe to an image, in a prefix without a C library: with static programs only."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from machine import Machine, Run, two_lines

pytestmark = pytest.mark.e2e

PROGRAM = r"""
#include <stdio.h>
int main(int argc, char **argv)
{
    int c;
    FILE *script = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!script) { puts("no script"); return 7; }
    while ((c = getc(script)) != EOF) putchar(c);
    return 0;
}
"""

RECIPE = """\
name = "own"
eprefix = "/opt/own"
bootstrap = "none"
scripts-dir = "{scripts}"

[portage]
use = ["-nls"]

[[software]]
name = "show"
kind = "binary"
version = "1.0"
source = "{show}"
sha256 = "{sha256}"

[[software]]
name = "greet"
kind = "script"
version = "1.0"
license = "GPL-2.0-only"
source = "greet"
depends = ["recipe/show"]

[image]
output = "out/own.raw"
link = ["greet", "show:show-it"]

[[tests]]
run = "greet"
output = "greetings"

[[tests]]
run = "show"
output = "no script"
exit-code = 7
"""


@dataclass
class Project:
    """A directory with a recipe, as a user has it."""

    machine: Machine
    directory: Path
    shown: str = ""
    """What the first build showed on a terminal."""

    def write(self) -> None:
        digest = hashlib.sha256((self.directory / "show").read_bytes()).hexdigest()
        text = RECIPE.format(scripts=self.machine.scripts, show="show", sha256=digest)
        (self.directory / "recipe.toml").write_text(text)

    def build(self, *args: str) -> Run:
        return self.machine.fp("build", "recipe.toml", *args, cwd=self.directory)

    @property
    def overlay(self) -> Path:
        return self.machine.staging("own") / "recipe-overlay"

    def versions(self) -> set[str]:
        vdb = self.machine.final("own") / "root/opt/own/var/db/pkg/recipe"
        return {path.name for path in vdb.iterdir()} if vdb.exists() else set()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    base = tmp_path_factory.mktemp("recipe")
    project = Project(Machine(base / "machine"), base)
    (base / "greet").write_text("#!/usr/bin/env show\ngreetings from a script\n")
    subprocess.run(
        ["gcc", "-static", "-Os", "-x", "c", "-", "-o", base / "show"],
        input=PROGRAM, text=True, check=True,
    )  # fmt: skip
    project.write()
    project.shown = on_terminal(project)
    return project


def on_terminal(project: Project) -> str:
    """Build on a terminal; return what it shows."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "flatcar_prefix", "build", "recipe.toml"],
        cwd=project.directory, env=project.machine.environment(TERM="xterm", NO_COLOR="1"),
        stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:  # EIO: nobody has the terminal open
            break
    os.close(master)
    text = shown.decode()
    assert child.wait() == 0, text
    return text


def test_a_terminal_shows_one_line_for_each_package(project: Project) -> None:
    assert re.findall(r" \* package (.*), \d+ s\r\n", project.shown) == [
        f"{number} of 2, recipe/{name}-1.0, {root}"
        for root in ("staging", "final")
        for number, name in ((1, "show"), (2, "greet"))
    ]
    assert "Emerging" not in project.shown


def test_one_command_makes_the_prefix_and_a_tested_image(project: Project) -> None:
    assert project.versions() == {"show-1.0", "greet-1.0"}
    image = project.directory / "out/own.raw"
    listed = subprocess.run(
        ["unsquashfs", "-lls", image], capture_output=True, text=True, check=True
    ).stdout
    assert "usr/bin/greet -> /opt/own/usr/bin/greet" in listed
    assert "usr/bin/show-it -> /opt/own/usr/bin/show" in listed
    manifest = (project.directory / "out/own.manifest.json").read_text()
    assert '"GPL-2.0-only"' in manifest, "the manifest does not know the licence"


def test_the_packages_are_plain_and_owned(project: Project) -> None:
    ebuild = (project.overlay / "recipe/greet/greet-1.0.ebuild").read_text()
    assert 'LICENSE="GPL-2"' in ebuild
    assert "recipe/show" in ebuild
    wrapper = project.machine.bin / "equery-prefix-own"
    said = project.machine.ok(wrapper, "--quiet", "belongs", "/opt/own/usr/bin/greet")
    assert said.stdout.strip() == "recipe/greet-1.0"
    script = project.machine.final("own") / "root/opt/own/usr/bin/greet"
    assert script.read_text().startswith("#!/opt/own/usr/bin/show\n")


def test_a_second_build_from_python_changes_nothing(project: Project) -> None:
    before = (project.directory / "out/own.raw").read_bytes()
    ebuilds = {
        path: path.stat().st_mtime_ns for path in project.overlay.rglob("*") if path.is_file()
    }
    code = "import flatcar_prefix as fp; print(fp.build('recipe.toml', say=print)[0].image)"
    result = project.machine.ok(sys.executable, "-c", code, cwd=project.directory)
    assert result.stdout.endswith(f"{project.directory}/out/own.raw\n")
    assert "Emerging" not in result.stdout
    assert (project.directory / "out/own.raw").read_bytes() == before
    now = {path: path.stat().st_mtime_ns for path in project.overlay.rglob("*") if path.is_file()}
    assert now == ebuilds


def test_another_board_or_eprefix_is_not_taken_for_the_same(project: Project) -> None:
    file = project.directory / "recipe.toml"
    text = file.read_text()
    file.write_text(text.replace('"/opt/own"', '"/opt/other"'))
    what, hint = two_lines(project.build())
    file.write_text(text)
    assert what.startswith("recipe.toml:2: eprefix: the prefix own-amd64-usr exists with another")
    assert "--force" in hint


def test_a_test_that_fails_stops_before_the_image(project: Project) -> None:
    file = project.directory / "recipe.toml"
    text = file.read_text()
    file.write_text(text.replace('"greetings"', '"farewell"'))
    result = project.build()
    file.write_text(text)
    assert result.returncode == 2
    line = text.splitlines().index('output = "greetings"') + 1
    assert f"recipe.toml:{line}: output in [[tests]] 1: 'farewell' is not in" in result.stderr
    assert "writing squashfs" not in result.stdout


def test_a_wrong_checksum_is_refused(project: Project) -> None:
    file = project.directory / "recipe.toml"
    text = file.read_text()
    digest = hashlib.sha256((project.directory / "show").read_bytes()).hexdigest()
    file.write_text(text.replace(digest, "0" * 64))
    what, _ = two_lines(project.build())
    file.write_text(text)
    assert "sha256 in [[software]] 1" in what
    assert digest in what


def test_a_program_that_is_not_in_the_tarball(project: Project) -> None:
    tarball = project.directory / "packed.tar.gz"
    subprocess.run(["tar", "-C", project.directory, "-czf", tarball, "greet"], check=True)
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    file = project.directory / "recipe.toml"
    text = file.read_text()
    more = f'name = "p"\nkind = "binary"\nsource = "packed.tar.gz"\nsha256 = "{digest}"\n'
    file.write_text(f'{text}\n[[software]]\n{more}programs = ["*/greet"]\n')
    what, hint = two_lines(project.build())
    file.write_text(text)
    assert "programs in [[software]] 3: no path in the tarball matches '*/greet'" in what
    assert "begins with: greet." in hint


def test_a_package_that_no_repository_has(project: Project) -> None:
    file = project.directory / "recipe.toml"
    text = file.read_text()
    file.write_text('packages = ["app-misc/nowhere"]\n' + text)
    result = project.build()
    file.write_text(text)
    assert result.returncode == 2
    assert "recipe.toml:1: packages: no repository has app-misc/nowhere" in result.stderr
    assert "gentoo-subset" in result.stderr
    assert "docs/your-own-software.md" in result.stderr


def test_a_change_of_a_source_makes_a_new_revision(project: Project) -> None:
    (project.directory / "greet").write_text("#!/usr/bin/env show\nother greetings\n")
    result = project.build("--json")
    assert result.returncode == 0, result.stderr
    assert [one["prefix"] for one in json.loads(result.stdout)] == ["own-amd64-usr"]
    assert "recipe/greet-1.0-r1" in (project.machine.staging("own") / "logs/recipe.log").read_text()
    assert project.versions() == {"show-1.0", "greet-1.0-r1"}
    assert [p.name for p in project.overlay.glob("recipe/greet/*.ebuild")] == [
        "greet-1.0-r1.ebuild"
    ]


def test_an_ebuild_that_a_user_takes_over_stays(project: Project) -> None:
    ebuild = project.overlay / "recipe/greet/greet-1.0-r1.ebuild"
    mine = ebuild.read_text().split("\n", 2)[2].replace("greet, from a recipe", "mine")
    ebuild.unlink()
    mine_at = ebuild.with_name("greet-1.0-r2.ebuild")
    mine_at.write_text(mine)
    result = project.build()
    assert result.returncode == 0, result.stderr
    assert f"{mine_at} was edited by hand" in result.stderr
    assert mine_at.read_text() == mine
    assert project.versions() == {"show-1.0", "greet-1.0-r2"}


def test_what_the_recipe_no_longer_names_goes(project: Project) -> None:
    text = (project.directory / "recipe.toml").read_text()
    start, end = text.index('[[software]]\nname = "greet"'), text.index("[image]")
    text = text[:start] + text[end:].replace('"greet", ', "")
    text = text.replace('[[tests]]\nrun = "greet"\noutput = "greetings"\n', "")
    (project.directory / "recipe.toml").write_text(text)
    shutil.rmtree(project.overlay / "recipe/greet")
    result = project.build()
    assert result.returncode == 0, result.stderr
    assert project.versions() == {"show-1.0"}
