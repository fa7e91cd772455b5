# SPDX-License-Identifier: BSD-3-Clause
"""The ebuilds of each kind, from the files at the top of a source."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.recipe.distfiles import bring
from flatcar_prefix.recipe.kinds import script, source
from flatcar_prefix.recipe.kinds.binary import _fits, _pattern
from flatcar_prefix.recipe.kinds.common import Place
from flatcar_prefix.recipe.model import Software, load
from flatcar_prefix.recipe.source import RecipeError
from flatcar_prefix.system.progress import NO_PROGRESS

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1] / "image"))
import shipping_prefix  # its directory had to be named first


@pytest.mark.parametrize(
    ("files", "directory", "system"),
    [
        (["x-1/CMakeLists.txt", "x-1/Makefile"], "x-1", "cmake"),
        (["x-1/configure", "x-1/Makefile"], "x-1", "autotools"),
        (["x-1/sub/CMakeLists.txt", "x-1/GNUmakefile"], "x-1", "make"),
        (["./x/meson.build", "./x/a.c"], "x", "meson"),
        (["go.mod", "main.go"], "", "go"),
        (["Cargo.toml"], "", "cargo"),
        (["x/README"], "x", ""),
    ],
)
def test_the_build_system_is_the_one_whose_files_are_at_the_top(
    tmp_path: Path, files: list[str], directory: str, system: str
) -> None:
    packed = tmp_path / "x.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        for name in files:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    zipped = tmp_path / "x.zip"
    with zipfile.ZipFile(zipped, "w") as other:
        for name in files:
            other.writestr(name.removeprefix("./"), "")
    for file in (packed, zipped):
        found, names = source.top(file)
        assert (found, source.system_of(names)) == (directory, system)


def test_what_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_text("no")
    with pytest.raises(PrefixError, match="cannot be unpacked"):
        source.top(tmp_path / "x.tar.gz")


@pytest.mark.parametrize("system", source.PHASES)
def test_options_and_programs_reach_the_phases(system: str) -> None:
    text = source.phases(system, options=["--a=b c"], program="prog", programs=["it's"])
    assert "'--a=b c'" in text
    assert "@" not in text.replace('"${@}"', "")
    if system in ("cargo", "go"):
        assert """'it'"'"'s'""" in text


def test_a_pattern_stays_in_its_directory() -> None:
    assert _fits("a-1/bin/tool", "*/bin/t??l")
    assert not _fits("a-1/x/bin/tool", "*/bin/tool")
    assert _pattern("*/a b;$x") == "*/a' 'b';''$'x"


@dataclass(frozen=True)
class Repositories(Place):
    """A prefix whose repositories have the packages of these names."""

    packages: tuple[str, ...] = ()

    def has(self, package: str) -> bool:
        return package in self.packages


def software(tmp_path: Path, line: str, **values: object) -> Software:
    (tmp_path / "x.sh").write_text(f"{line}\n")
    table = {"name": "x", "kind": "script", "source": "x.sh", **values}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    file = tmp_path / "r.toml"
    file.write_text(f'name = "a"\neprefix = "/opt/a"\n[[software]]\n{text}')
    return load(file).software[0]


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("#!/bin/sh", "app-shells/dash"),
        ("#! /bin/sh -eu", "app-shells/dash"),
        ("#!/usr/bin/env python3", "dev-lang/python"),
        ("#!/usr/bin/env -S python3.11 -u", "dev-lang/python"),
        ("#!/usr/local/bin/python3.11", "dev-lang/python"),
    ],
)
def test_the_first_line_decides_the_interpreter(tmp_path: Path, line: str, package: str) -> None:
    place = Repositories(own_prefix(tmp_path), NO_PROGRESS, ("app-shells/dash", "dev-lang/python"))
    text = script.package(software(tmp_path, line), place).ebuild
    assert text.count(f"\t{package}\n") == 2, "DEPEND and RDEPEND"


@pytest.mark.parametrize(
    ("line", "what"),
    [("#!/bin/bash", "no repository has a package with bash"), ("echo", "has no #! line"),
     ("#!", "has no #! line"), ("#!/usr/bin/frob", "no repository has a package with frob")],
)  # fmt: skip
def test_an_interpreter_that_nothing_has_is_told(tmp_path: Path, line: str, what: str) -> None:
    place = Repositories(own_prefix(tmp_path), NO_PROGRESS)
    with pytest.raises(RecipeError, match=what) as caught:
        script.package(software(tmp_path, line), place)
    assert "r.toml:6: source in [[software]] 1" in str(caught.value)
    if "frob" in line:
        assert script.package(software(tmp_path, line, depends=["a/frob"]), place)


def test_a_source_directory_is_packed_without_what_a_build_writes(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/Makefile").write_text("all:\n")
    file = tmp_path / "work/r.toml"
    file.write_text(
        'name = "a"\neprefix = "/opt/a"\n[[software]]\nname = "x"\nkind = "source"\nsource = "."\n'
        '[image]\noutput = "x.raw"\n'
    )
    (one,) = load(file).software
    first = bring(one, "amd64-usr", tmp_path / "distfiles", NO_PROGRESS)
    for name in ("x.raw", "x.manifest.json", "SHA256SUMS", "x-1.0-x86-64.raw", "r.lock"):
        (tmp_path / "work" / name).write_text("made by a build")
    (tmp_path / "work/.git").mkdir()
    again = bring(one, "amd64-usr", tmp_path / "distfiles", NO_PROGRESS)
    assert again == first
    with tarfile.open(first.path) as archive:
        assert archive.getnames() == ["x-1/Makefile"]
    (tmp_path / "work/Makefile").write_text("all: x\n")
    assert bring(one, "amd64-usr", tmp_path / "distfiles", NO_PROGRESS) != first


def own_prefix(tmp_path: Path) -> Prefix:
    return shipping_prefix.make(tmp_path / "prefix", compiled=False)
