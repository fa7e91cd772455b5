# SPDX-License-Identifier: BSD-3-Clause
"""Real software from a recipe: a C project with CMake, a shell script, httpie from PyPI, and
projects of the other build systems.

httpie needs a prefix with dev-lang/python, which takes minutes to build:
FLATCAR_PREFIX_TEST_PYTHON names it, as for tests/examples/test_python.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from machine import Machine

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.needs_namespaces,
    pytest.mark.timeout(900),
]

# Read now: fixtures move this program's places for everything that tests call.
ASKED = os.environ.get("FLATCAR_PREFIX_TEST_PYTHON", "")
PLACES = dict(os.environ)

C_PROJECT: Mapping[str, str] = {
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.10)
project(answer C)
include(GNUInstallDirs)
add_library(answer SHARED answer.c)
add_executable(ask main.c)
target_link_libraries(ask answer)
install(TARGETS ask answer)
""",
    "answer.c": "int answer(void) { return 42; }\n",
    "main.c": """
#include <stdio.h>
int answer(void);
int main(void) { printf("the answer is %d\\n", answer()); return 0; }
""",
}

RECIPE = """\
name = "real"
eprefix = "/opt/real"
bootstrap = "import"
scripts-dir = "{scripts}"

[[software]]
name = "answer"
kind = "source"
version = "0.3"
source = "project"

[[software]]
name = "greet"
kind = "script"
source = "greet.sh"

[[tests]]
run = "ask"
output = "the answer is 42"

[[tests]]
run = "greet 6 7"
output = "42 is the answer of /opt/real/usr/bin/greet"

[image]
link = ["ask"]
"""


def test_a_c_project_and_a_script_become_one_image(machine: Machine) -> None:
    place = machine.base / "work"
    (place / "project").mkdir(parents=True)
    for name, text in C_PROJECT.items():
        (place / "project" / name).write_text(text)
    (place / "greet.sh").write_text('#!/bin/sh\necho "$(($1 * $2)) is the answer of $0"\n')
    (place / "recipe.toml").write_text(RECIPE.format(scripts=machine.scripts))
    said = machine.fp("build", "recipe.toml", cwd=place)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "2 tests passed" in said.stdout
    files = subprocess.run(
        ["unsquashfs", "-l", place / "real.raw"], capture_output=True, text=True, check=True
    ).stdout
    for path in ("usr/bin/ask", "opt/real/usr/bin/greet", "opt/real/bin/dash",
                 "opt/real/usr/lib64/libanswer.so"):  # fmt: skip
        assert f"/{path}\n" in files, path


SOURCES: Mapping[str, Mapping[str, str]] = {
    "cargo": {
        "Cargo.toml": '[package]\nname = "by-cargo"\nversion = "1.0.0"\nedition = "2021"\n',
        "Cargo.lock": 'version = 3\n\n[[package]]\nname = "by-cargo"\nversion = "1.0.0"\n',
        "src/main.rs": 'fn main() { println!("built by cargo"); }\n',
    },
    "go": {
        "go.mod": "module example.org/by-go\n\ngo 1.19\n",
        "main.go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("built by go") }\n',
    },
    "meson": {
        "meson.build": "project('by-meson', 'c')\nexecutable('by-meson', 'main.c', install: true)\n",
        "main.c": '#include <stdio.h>\nint main(void) { puts("built by meson"); return 0; }\n',
    },
    "make": {
        "Makefile": "by-make: main.c\n\t$(CC) $(CFLAGS) $(LDFLAGS) -o $@ main.c\n"
        "install: by-make\n\tinstall -D by-make $(DESTDIR)$(PREFIX)/bin/by-make\n",
        "main.c": '#include <stdio.h>\nint main(void) { puts("built by make"); return 0; }\n',
    },
}
"""The files of a small project, by build system."""


@pytest.mark.by_hand
@pytest.mark.needs_root
def test_each_build_system_makes_a_program_of_the_prefix(machine: Machine) -> None:
    place = machine.base / "work"
    recipe = 'name = "built"\neprefix = "/opt/built"\nbootstrap = "import"\n'
    recipe += f'scripts-dir = "{machine.scripts}"\n'
    for system, files in SOURCES.items():
        for name, text in files.items():
            (place / system / name).parent.mkdir(parents=True, exist_ok=True)
            (place / system / name).write_text(text)
        recipe += f"""
[[software]]
name = "by-{system}"
kind = "source"
version = "1.0"
source = "{system}"

[[tests]]
run = "by-{system}"
output = "built by {system}"
"""
    (place / "recipe.toml").write_text(recipe)
    # Builds run as another user, who cannot run a cargo in the home directory of root.
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    said = machine.fp("build", "recipe.toml", cwd=place, env={"PATH": path})
    assert said.returncode == 0, said.stdout + said.stderr
    assert "4 tests passed" in said.stdout


@pytest.mark.network
@pytest.mark.skipif(not ASKED, reason="FLATCAR_PREFIX_TEST_PYTHON names no prefix with a Python")
def test_httpie_is_an_image_of_packages(tmp_path: Path) -> None:
    def fp(*words: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "flatcar_prefix", *words],
            env=PLACES, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shown = json.loads(fp("show", ASKED, "--json"))
    (tmp_path / "recipe.toml").write_text(f"""\
name = "{shown["name"]}"
eprefix = "{shown["eprefix"]}"
bootstrap = "{shown["bootstrap"]}"
packages = ["dev-lang/python"]

[[software]]
name = "httpie"
kind = "pypi"
requirements = ["httpie>=3.2"]

[[tests]]
run = "http --version"
output = "3."

[[tests]]
run = "http --ignore-stdin --offline --print=H example.org/path"
output = "GET /path HTTP/1.1"

[image]
output = "httpie.raw"
link = ["http"]
sbom = "spdx"
""")
    fp("build", "recipe.toml")
    lock = (tmp_path / "recipe.lock").read_text()
    fp("build", "recipe.toml")
    assert (tmp_path / "recipe.lock").read_text() == lock
    manifest = json.loads((tmp_path / "httpie.manifest.json").read_text())
    packages = {package["name"]: package for package in manifest["packages"]}
    assert {"recipe/httpie", "pypi/httpie", "pypi/requests", "pypi/rich"} <= packages.keys()
    assert packages["pypi/requests"]["spdx"] == "Apache-2.0"
    assert packages["pypi/idna"]["spdx"] == "BSD-3-Clause", "it has a License-Expression only"
    assert not [path for path in manifest["unowned"] if "/bin/" in path or "/lib/" in path]
