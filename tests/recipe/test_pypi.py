# SPDX-License-Identifier: BSD-3-Clause
"""Software from PyPI: the lock file, and wheels that become packages."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from machine import CHECKOUT

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.recipe import pypi_lock
from flatcar_prefix.recipe.kinds.pypi import _licence_words
from flatcar_prefix.recipe.pypi_lock import Target
from flatcar_prefix.system.progress import NO_PROGRESS

VERSION = "{}.{}".format(*sys.version_info[:2])
TARGET = Target(BOARDS["amd64-usr"], VERSION, frozenset({"pip"}))


def wheel(directory: Path, name: str, *, requires: tuple[str, ...] = (), more: str = "") -> Path:
    """Write a wheel of one module, with a program, a script, and a manual page."""
    module = name.replace("-", "_")
    file = directory / f"{module}-1.0-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: A $thing\n{more}"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    members = {
        f"{module}/__init__.py": "def main():\n    print('main of', __name__)\nclass C:\n    run = main\n",
        f"{module}-1.0.data/scripts/old-{name}": "#!python\nprint('old')\n",
        f"{module}-1.0.data/data/share/man/man1/{name}.1": ".TH x\n",
        f"{module}-1.0.dist-info/METADATA": metadata,
        f"{module}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{module}-1.0.dist-info/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
        f"{module}-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in members.items():
            archive.writestr(path, text)
    return file


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes for its only index."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def test_requirements_are_resolved_once_and_locked_with_checksums(
    index: Path, tmp_path: Path
) -> None:
    wheel(index, "one", requires=("two[more]", "pip", "never; python_version < '3'"))
    wheel(index, "two", requires=("three; extra == 'more'",), more="Provides-Extra: more\n")
    wheel(index, "three", more="Classifier: License :: OSI Approved :: MIT License\n")
    wheel(index, "pip")
    recipe = tmp_path / "recipe.toml"
    found = pypi_lock.locked(recipe, ["one"], TARGET, anew=False, say=NO_PROGRESS)
    assert [(each.name, each.requires) for each in found] == [
        ("one", ("two",)), ("three", ()), ("two", ("three",)),
    ]  # fmt: skip
    text = (tmp_path / "recipe.lock").read_text()
    digest = subprocess.run(
        ["sha256sum", index / "two-1.0-py3-none-any.whl"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[0]
    assert digest in text
    assert {each.name: each.licence for each in found}["three"] == "MIT License"

    # The lock decides from now on, without pip.
    (index / "two-1.0-py3-none-any.whl").unlink()
    assert pypi_lock.locked(recipe, ["one"], TARGET, anew=False, say=NO_PROGRESS) == found
    with pytest.raises(PrefixError, match="pip cannot resolve"):
        pypi_lock.locked(recipe, ["one"], TARGET, anew=True, say=NO_PROGRESS)
    assert (tmp_path / "recipe.lock").read_text() == text


def test_a_file_with_another_checksum_is_refused(index: Path, tmp_path: Path) -> None:
    wheel(index, "one")
    (one,) = pypi_lock.locked(tmp_path / "r.toml", ["one"], TARGET, anew=False, say=NO_PROGRESS)
    assert pypi_lock.download(one, tmp_path, VERSION).read_bytes()
    wheel(index, "one", more="Keywords: changed\n")
    with pytest.raises(PrefixError, match=r"DO NOT MATCH|hash"):
        pypi_lock.download(one, tmp_path, VERSION)


def test_a_board_of_another_architecture_needs_wheels(index: Path, tmp_path: Path) -> None:
    (index / "one-1.0.tar.gz").write_bytes(b"")
    foreign = next(board for board in BOARDS.values() if not board.is_native)
    with pytest.raises(PrefixError, match="pip cannot resolve") as caught:
        pypi_lock.locked(tmp_path / "r.toml", ["one"], Target(foreign, VERSION), anew=False,
                         say=NO_PROGRESS)  # fmt: skip
    assert "sdists are built on" in caught.value.hint


def test_a_damaged_lock_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.lock").write_text("{")
    with pytest.raises(PrefixError, match=r"r\.lock cannot be used: it is damaged") as caught:
        pypi_lock.locked(tmp_path / "r.toml", ["one"], TARGET, anew=False, say=NO_PROGRESS)
    assert "delete it" in caught.value.hint


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("MIT", "MIT"), ("BSD-3-Clause", "BSD"), ("BSD License", "BSD"), ("", "unknown"),
     ("MIT OR Apache-2.0", "|| ( MIT Apache-2.0 )"), ("Apache-2.0 AND MIT", "Apache-2.0 MIT"),
     ("My own, see web", "My-own-see-web")],
)  # fmt: skip
def test_a_licence_becomes_words_that_portage_takes(theirs: str, ours: str) -> None:
    assert _licence_words(theirs) == ours


def test_the_licence_of_a_wheel_is_its_expression(tmp_path: Path) -> None:
    assert pypi_lock.licence_of(wheel(tmp_path, "one")) == ""
    expression = "License-Expression: MIT OR Apache-2.0\n"
    assert pypi_lock.licence_of(wheel(tmp_path, "one", more=expression)) == "MIT OR Apache-2.0"


def install(file: Path, image: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run the eclass' src_install in a shell that plays Portage."""
    eclass = CHECKOUT / "repos/prefix-toolchain/eclass/flatcar-prefix-wheel.eclass"
    code = """
        die() { echo "die: $*" >&2; exit 1; }
        EXPORT_FUNCTIONS() { :; }
        source "$1"; flatcar-prefix-wheel_src_install
    """
    return subprocess.run(
        ["bash", "-c", code, "-", eclass], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "EAPI": "8", "WHEEL_PYTHON": VERSION, "D": f"{image}/",
             "ED": f"{image}/opt/p", "EPREFIX": "/opt/p", "T": str(scratch), "A": file.name,
             "DISTDIR": str(file.parent)},
    )  # fmt: skip


def test_a_wheel_is_installed_as_its_specification_says(tmp_path: Path) -> None:
    image = tmp_path / "image"
    said = install(wheel(tmp_path, "one-two"), image, tmp_path)
    assert said.returncode == 0, said.stderr
    usr = image / "opt/p/usr"
    site = usr / f"lib/python{VERSION}/site-packages"
    assert (usr / "share/man/man1/one-two.1").is_file()
    assert (usr / "bin/old-one-two").read_text().startswith(f"#!/opt/p/usr/bin/python{VERSION}\n")
    program = (usr / "bin/one-two").read_text()
    assert program.startswith(f"#!/opt/p/usr/bin/python{VERSION}\n")
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "main of one_two\n", ran.stderr
    record = (site / "one_two-1.0.dist-info/RECORD").read_text()
    assert "../../../bin/one-two,," in record
    assert "one_two/__init__.py,," in record


def test_a_wheel_that_leads_out_of_the_prefix_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path, "bad")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("bad-1.0.data/data/../../../../etc/passwd", "x")
    said = install(file, tmp_path / "image", tmp_path)
    assert said.returncode == 1
    assert "leads out of the prefix" in said.stderr


def test_wheels_are_asked_for_by_the_board() -> None:
    arm64 = pypi_lock.wheel_options(Target(BOARDS["arm64-usr"], "3.11"))
    assert "--platform=manylinux2014_aarch64" in arm64
    assert "--abi=cp311" in arm64
    assert not [word for word in arm64 if "x86_64" in word]


def test_a_lock_is_json_that_another_tool_can_read(index: Path, tmp_path: Path) -> None:
    wheel(index, "one")
    pypi_lock.locked(tmp_path / "r.toml", ["one"], TARGET, anew=False, say=NO_PROGRESS)
    document = json.loads((tmp_path / "r.lock").read_text())
    assert document["boards"]["amd64-usr"]["packages"][0]["file"] == "one-1.0-py3-none-any.whl"
