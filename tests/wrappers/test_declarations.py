# SPDX-License-Identifier: BSD-3-Clause
"""Declarations: keys, precedence, and errors."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from machine import InUse
from tooling import declare

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.wrappers import declaration, script

GOOD = {
    "description": "does something",
    "package": "app-misc/thing",
    "root": "final",
    "entry": "cross",
}


def text(**keys: str | None) -> str:
    lines = {**GOOD, **{key.replace("_", "-"): value for key, value in keys.items()}}
    return "[tool]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items() if v is not None)


def read(directory: Path, content: str, name: str = "thing") -> declaration.Tool:
    (directory / f"{name}.conf").write_text(content)
    return declaration.tools([directory])[name]


def test_a_declaration_says_all_there_is(tmp_path: Path) -> None:
    tool = read(tmp_path, text(
        needs_root="yes", command="{chost}-thing thing", arguments='--at {eroot} "two words"', stand_in="json.tool",
        probe="--version",
    ) + "[environment]\nPLACE = {eprefix}/x\n")  # fmt: skip
    assert (tool.name, tool.description, tool.package) == (
        "thing",
        "does something",
        "app-misc/thing",
    )
    assert (tool.root, tool.entry, tool.needs_root) == ("final", "cross", True)
    assert tool.commands == ("{chost}-thing", "thing")
    assert tool.arguments == ("--at", "{eroot}", "two words")
    assert (tool.stand_in, tool.probe) == ("json.tool", ("--version",))
    assert tool.environment == {"PLACE": "{eprefix}/x"}


def test_the_command_is_called_as_the_declaration_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path, text()).commands == ("thing",)


BAD = {
    "no section": ("", "[tool]", "missing"),
    "another section": (text() + "[other]\nx = y\n", "[other]", "unknown section"),
    "unknown key": (text(colour="red"), "colour", "unknown key"),
    "no description": (text(description=None), "description", "is missing"),
    "no package": (text(package=None), "package", "is missing"),
    "no package name": (text(package="thing"), "package", "not a category/package"),
    "no root": (text(root=None), "root", "is missing"),
    "wrong root": (text(root="finale"), "root", "not one of staging, final, both"),
    "wrong entry": (text(entry="window"), "entry", "not one of cross, view, module"),
    "module missing": (text(entry="module"), "module", "is missing"),
    "module's name": (
        text(entry="module", module="a b"),
        "module",
        "is not the name of a Python module",
    ),
    "both without a module": (text(root="both"), "root", "requires entry = module"),
    "probe for nothing": (text(probe="x"), "probe", "stand-in"),
    "no such module": (
        text(entry="module", module="no.such"),
        "module",
        "no module 'no.such' is installed",
    ),
    "no such submodule": (
        text(entry="module", module="flatcar_prefix.no"),
        "module",
        "is installed",
    ),
    "no such stand-in": (text(stand_in="no.such"), "stand-in", "no module 'no.such'"),
    "needs-root": (text(needs_root="maybe"), "needs-root", "neither yes nor no"),
    "without-root for what needs none": (
        text(without_root="-p"),
        "without-root",
        "needs-root = yes",
    ),
    "without-root": (
        text(needs_root="yes", without_root="-p pretend"),
        "without-root",
        "'pretend' is not an option",
    ),
    "without-root's pattern": (
        text(needs_root="yes", without_root="--x*"),
        "without-root",
        "is not an option",
    ),
    "command": (text(command=""), "command", "is empty"),
    "open quote": (text(arguments="'open"), "arguments", "quotation"),
    "placeholder": (text(arguments="{home}"), "arguments", "{home} is not a placeholder"),
    "placeholder in a variable": (
        text() + "[environment]\nX = {y}\n",
        "X",
        "{y} is not a placeholder",
    ),
    "variable's name": (text() + "[environment]\n1X = y\n", "1X", "valid variable name"),
    "like nobody": (text(like="nobody"), "like", "no tool 'nobody'"),
    "like itself": (text(like="thing"), "like", "forms a cycle"),
    "twice": (text() + "root = staging\n", "", "already exists"),
    "no INI": ("tool\n", "", "no section headers"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_declaration_is_refused_with_file_key_and_reason(tmp_path: Path, case: str) -> None:
    content, key, reason = BAD[case]
    with pytest.raises(PrefixError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/thing.conf: {key}")
    assert reason in message
    assert "\n" not in message
    assert caught.value.hint


def test_a_declaration_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thing.conf").write_bytes(b"\xff\xfe\0")
    with pytest.raises(PrefixError, match=r"thing\.conf"):
        declaration.tools([tmp_path])


@pytest.mark.parametrize("value", ["/x", '"$(touch /x)`\\'])
def test_a_default_yields_to_the_callers_variable(tmp_path: Path, value: str) -> None:
    tool = read(tmp_path, text() + f"[environment]\nPKGDIR? = {value}\n")
    assert tool.environment == {"PKGDIR?": value}
    word = script.assignment("PKGDIR?", value)
    variables: dict[str, str]
    for variables, wanted in (({}, value), ({"PKGDIR": "/mine"}, "/mine")):
        done = subprocess.run(
            ["sh", "-uc", f'export {word}; printf %s "$PKGDIR"'],
            env={"PATH": os.defpath, **variables}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == wanted


@pytest.mark.parametrize("name", ["a b", "-x", "x-prefix-y", ".x"])
def test_the_files_name_must_be_one_for_a_command(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.conf").write_text(text())
    found = list(tmp_path.glob("*.conf"))
    if found:
        with pytest.raises(PrefixError, match="not a valid tool name"):
            declaration.tools([tmp_path])


def test_like_takes_over_all_but_the_command(tmp_path: Path) -> None:
    (tmp_path / "base.conf").write_text(
        text(command="real", needs_root="yes") + "[environment]\nA = 1\nB = 2\n"
    )
    tool = read(
        tmp_path, "[tool]\ndescription = mine\nlike = base\nroot = staging\n[environment]\nB = 3\n"
    )
    assert (tool.description, tool.root, tool.needs_root) == ("mine", "staging", True)
    assert tool.commands == ("thing",)
    assert tool.environment == {"A": "1", "B": "3"}


def test_later_directories_win(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second", "third")):
        (tmp_path / name).mkdir()
        for tool in ("one", "two", "three")[: 3 - number]:
            (tmp_path / name / f"{tool}.conf").write_text(text(description=name))
    found = declaration.tools([tmp_path / name for name in ("first", "second", "third")])
    assert {n: t.description for n, t in found.items()} == {
        "one": "third",
        "two": "second",
        "three": "first",
    }


def test_the_three_places_in_their_order(tmp_path: Path) -> None:
    places = declaration.directories(etc=tmp_path)
    assert places[0].name == "wrappers"
    assert places[1] == tmp_path / "flatcar-prefix/wrappers.d"
    assert places[2].parts[-2:] == ("flatcar-prefix", "wrappers.d")


def test_a_bad_declaration_of_the_users_stops_before_anything_is_written(bare: InUse) -> None:
    path = declare(bare.machine, "bad", text(entry="window"))
    before = set(bare.machine.bin.iterdir())
    done = bare.machine.fp("wrappers", "bare")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert f"{path}: entry: 'window' is not one of cross, view, module" in done.stderr
    assert set(bare.machine.bin.iterdir()) == before


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    directory = tmp_path_factory.getbasetemp() / "any"
    directory.mkdir(exist_ok=True)
    (directory / "thing.conf").write_text(
        "[tool]\n" + content, encoding="utf-8", errors="surrogatepass"
    )
    try:
        declaration.tools([directory])
    except PrefixError as error:
        assert "thing.conf" in str(error)


@given(st.text(st.characters(blacklist_characters="{}"), max_size=20))
def test_text_without_placeholders_stays(value: str) -> None:
    assert declaration.filled(value, {}) == value


def test_like_itself_changes_single_keys_of_the_overridden_declaration(tmp_path: Path) -> None:
    shipped, own, more = (tmp_path / name for name in ("shipped", "own", "more"))
    for directory in (shipped, own, more):
        directory.mkdir()
    (shipped / "thing.conf").write_text(
        text(command="{chost}-thing", arguments="--old", needs_root="yes")
    )
    (shipped / "other.conf").write_text(text(like="thing"))
    (own / "thing.conf").write_text("[tool]\nlike = thing\narguments = --new\n")
    (more / "thing.conf").write_text("[tool]\nlike = thing\nroot = staging\n")
    found = declaration.tools([shipped, own, more])
    thing = found["thing"]
    assert thing.path == more / "thing.conf"
    assert (thing.arguments, thing.commands) == (("--new",), ("{chost}-thing",))
    assert (thing.root, thing.needs_root) == ("staging", True)
    assert found["other"].commands == ("other",), "a command is never inherited from another tool"
    assert sorted(found) == ["other", "thing"]


def test_like_itself_without_another_declaration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(declaration.DeclarationError, match="forms a cycle: thing -> thing"):
        read(tmp_path, text(like="thing"))
