# SPDX-License-Identifier: BSD-3-Clause
"""The commands of the documents, run verbatim and in their order.

Only ``setup_prefix`` gets an option more, ``--bootstrap=import``, because the C library of the
documents' own command takes minutes. The pages on Python continue ``./quickstart dev-lang/python``. Their
tests need the variable of :mod:`test_python`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from machine import CHECKOUT, InUse, Machine, Run
from test_python import ASKED

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.timeout(900),
]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Read it now: fixtures change this program's directories during tests.
ENVIRONMENT = dict(os.environ)

OF_A_TARGET = re.compile(
    r"systemctl|systemd-|ssh |scp |kola |/etc/|/var/lib/|run-tests|^butane |_qemu"
)
"""Commands for the target system, or for a checkout, and programs of other projects."""


def section(page: str, heading: str = "") -> str:
    """Return the text below a heading, up to the next heading of the same or a higher level."""
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    if not heading:
        return text
    start = text.index(f"{heading}\n")
    level = heading.index(" ")
    end = re.search(rf"^#{{1,{level}}} ", text[start + len(heading) :], re.MULTILINE)
    return text[start : start + len(heading) + end.start()] if end else text[start:]


def blocks(text: str, *languages: str) -> list[str]:
    return [code for language, code in BLOCK.findall(text) if language in languages]


def commands(block: str) -> list[str]:
    """Return the command lines of a block, joined where a backslash continues one."""
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


class Reader:
    """Somebody who types the commands of a document in an empty directory."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.work = machine.base / "work"
        self.work.mkdir(exist_ok=True)
        programs = (Path(sys.executable).parent, machine.bin)
        self.path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        machine.variables["FLATCAR_PREFIX_FINAL_DIR"] = str(machine.base / "final")

    def types(self, command: str) -> Run:
        """Run a command, which must succeed and print no traceback."""
        command = re.sub(r"^setup_prefix\b", "setup_prefix --bootstrap=import", command)
        done = self.machine.run(
            "bash", "-c", f"set -eu -o pipefail\n{command}", cwd=self.work, env={"PATH": self.path}
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, command
        return done

    def has_prefix(self, name: str, eprefix: str) -> InUse:
        self.types(f"setup_prefix {name} {eprefix}")
        return InUse(self.machine, name, eprefix)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    base = tmp_path_factory.mktemp("documents")
    reader = Reader(Machine(base / "machine"))
    reader.has_prefix("my-stuff", "/usr/local/my-stuff")
    return reader


def test_what_readme_says_it_does(reader: Reader) -> None:
    said = {
        line.split("#")[0].strip(): reader.types(line).stdout
        for line in commands(blocks(section("README.md", "## What it does"), "sh")[0])
    }
    assert "usr/bin/grep" in said["equery-prefix-my-stuff files sys-apps/grep"]
    assert "grep (GNU grep)" in said["flatcar-prefix run my-stuff -- grep --version"]
    assert (reader.work / "my-stuff.raw").stat().st_size > 100_000


def test_plain_emerge_as_in_readme(reader: Reader) -> None:
    (line,) = commands(blocks(section("README.md", "### Configuration"), "sh")[0])
    assert "sys-apps/grep" in reader.types(line).stdout


def test_the_python_of_readme(reader: Reader) -> None:
    """As a script, and not line by line, so that names persist."""
    (code,) = blocks(section("README.md", "## From Python"), "python")
    (reader.work / "my-stuff.raw").unlink(missing_ok=True)
    code = code.replace('board="amd64-usr"', 'board="amd64-usr", bootstrap="import"')
    (reader.work / "example.py").write_text(code)
    reader.types("python example.py")
    assert (reader.work / "my-stuff.raw").exists()


def test_the_first_commands_of_the_page_on_wrappers(reader: Reader) -> None:
    said = [
        reader.types(line).stdout for line in commands(blocks(section("docs/wrappers.md"), "sh")[0])
    ]
    assert all(said), "a command answers nothing"


def test_the_example_of_the_page_on_tools(reader: Reader) -> None:
    page = section("docs/adding-a-tool.md", "## An example")
    (declaration,) = blocks(page, "ini")
    place = reader.machine.base / "home/.config/flatcar-prefix/wrappers.d"
    place.mkdir(parents=True)
    (place / "find.conf").write_text(declaration)
    (console,) = blocks(page, "console")
    # An output starts with the lines that the page shows, up to dots.
    for example in console.removeprefix("$ ").split("\n$ "):
        command, _, output = example.partition("\n")
        said = reader.types(command).stdout.replace(str(reader.machine.bin), "/usr/local/bin")
        for line in output.split("...")[0].splitlines():
            assert line in said, f"{command}\n{said}"


def test_the_shortest_path_of_the_page_on_your_own_software(machine: Machine) -> None:
    reader = Reader(machine)
    page = section("docs/your-own-software.md", "## The shortest path")
    recipe, script, *lines = blocks(page, "toml", "sh")
    (reader.work / "hello.sh").write_text(script)
    # The page names this line for a trial.
    assert '`bootstrap = "import"`' in page
    (reader.work / "recipe.toml").write_text(f'bootstrap = "import"\n{recipe}')
    for line in lines:
        reader.types(line)
    assert (reader.work / "my-stuff.raw").stat().st_size > 100_000


@pytest.mark.skipif(not ASKED, reason="FLATCAR_PREFIX_TEST_PYTHON names no prefix with Python")
@pytest.mark.parametrize("page", ["docs/python.md", "docs/shipping.md"])
def test_the_pages_that_continue_quickstart(page: str, tmp_path: Path) -> None:
    if ASKED != "my-stuff":
        pytest.skip("the prefix of these pages is quickstart's, my-stuff")
    (tmp_path / "script.py").write_text("print('from a script')\n")
    programs = Path(sys.executable).parent
    env = {**ENVIRONMENT, "PATH": f"{programs}{os.pathsep}{ENVIRONMENT['PATH']}"}
    run = 0
    for block in blocks(section(page), "sh"):
        if OF_A_TARGET.search(block) or "/usr/local/my-stuff/" in block:
            continue
        for line in commands(block):
            if line.startswith("emerge-prefix-my-stuff"):
                continue  # quickstart has built it
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, textwrap.indent(
                f"{line}\n{done.stdout}{done.stderr}", "  "
            )
            run += 1
    assert run >= 2
