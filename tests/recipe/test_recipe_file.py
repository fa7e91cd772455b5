# SPDX-License-Identifier: BSD-3-Clause
"""The file of a recipe: its check names file, line and key; its template is valid."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from machine import CHECKOUT

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.options import Options
from flatcar_prefix.lifecycle.request import Request
from flatcar_prefix.recipe import model
from flatcar_prefix.recipe.schema import TABLES, TOP
from flatcar_prefix.recipe.source import RecipeError
from flatcar_prefix.recipe.template import template
from flatcar_prefix.recipe.versions import from_pep440

GOOD = """\
name = "mine"
eprefix = "/opt/mine"
packages = [
    "sys-apps/grep",
    "app-arch/bzip2",
]

[image]
format = "squashfs"

[[software]]
name = "one"
kind = "script"
source = "one.sh"

# The second.
[[software]]
name = "two"
kind = "pypi"
requirements = ["thing>=1"]

[[tests]]
run = "one --version"
"""


def load(directory: Path, text: str) -> model.Recipe:
    (directory / "one.sh").write_text("#!/bin/sh\n")
    file = directory / "recipe.toml"
    file.write_text(text)
    return model.load(file)


def test_a_valid_recipe_has_what_it_says(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD)
    assert (recipe.name, recipe.eprefix, recipe.boards) == ("mine", "/opt/mine", ("amd64-usr",))
    assert recipe.packages == ("sys-apps/grep", "app-arch/bzip2")
    assert [software.kind for software in recipe.software] == ["script", "pypi"]
    assert recipe.tests[0].words == ("one", "--version")
    assert recipe.image_file("amd64-usr", ".raw") == tmp_path / "mine.raw"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "hint"),
    [
        ('name = "mine"\n', "", 1, "name", 'name = "my-stuff"'),
        ('name = "mine"', 'name = "-mine"', 1, "name", "Use 1 to 64 characters"),
        ('"/opt/mine"', '"/etc/mine"', 2, "eprefix", "/opt/my-stuff"),
        ('"/opt/mine"', "3", 2, "eprefix", 'eprefix = "/opt/my-stuff"'),
        ("packages =", "pakages =", 3, "pakages", "Did you mean packages?"),
        ('"sys-apps/grep"', '"grep!"', 3, "packages", "category/name"),
        ('"squashfs"', '"zip"', 9, "format in [image]", "squashfs, erofs"),
        ('format = "squashfs"', "verify = 1", 9, "verify in [image]", "verify = true"),
        ('kind = "script"', 'kind = "skript"', 13, "kind in [[software]] 1", "pypi, binary"),
        ('source = "one.sh"', "", 11, "source in [[software]] 1", "Add it"),
        ('source = "one.sh"', 'source = "no.sh"', 14, "source in [[software]] 1", "Correct"),
        ('"one.sh"', '"https://example.org/one.sh"', 11, "sha256 in [[software]] 1", "sha256sum"),
        ('kind = "pypi"', 'kind = "pypi"\nsource = "x"', 20, "source in [[software]] 2", "Remove"),
        ('"thing>=1"', '"thing >> 1"', 20, "requirements in [[software]] 2", "PEP 508"),
        ('name = "two"', 'name = "one"', 18, "name in [[software]] 2", "Rename"),
        ('name = "two"', 'name = "two-2"', 18, "name in [[software]] 2", "do not end"),
        ('"one --version"', '"one \'x"', 23, "run in [[tests]] 1", "Close the quotation"),
        ("[[tests]]", "[tests]", 22, "tests", "[[tests]]"),
        ("[image]", "[[image]]", 8, "image", "[image]"),
        ('[image]', 'overlays = ["none"]\n[image]', 8, "overlays", "new-overlay"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, key: str, hint: str
) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path}/recipe.toml:{line}: {key}: ")
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_line_is_right_behind_strings_and_arrays_of_several_lines(tmp_path: Path) -> None:
    text = 'name = "a"\neprefix = """\\\n  /opt/a"""\npackages = [ # x\n\n"a/b",\n]\nwrong = 1\n'
    with pytest.raises(RecipeError, match=r"recipe\.toml:8: wrong: "):
        load(tmp_path, text)


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"not valid TOML: .*line 2"):
        load(tmp_path, 'name = "a"\neprefix = /opt/a\n')


def test_a_missing_recipe_leads_to_the_template(tmp_path: Path) -> None:
    with pytest.raises(PrefixError) as caught:
        model.load(tmp_path / "no.toml")
    assert "--template" in caught.value.hint


def test_the_template_is_valid_as_it_stands_and_with_each_key(tmp_path: Path) -> None:
    assert load(tmp_path, template()).packages
    shown = set(re.findall(r"^#?([a-z0-9-]+) = ", template(), re.MULTILINE))
    assert shown == {key.name for table in TABLES for key in table.keys}


def test_every_option_of_an_image_and_of_a_setup_is_a_key(tmp_path: Path) -> None:
    """A recipe has a key for each option of the single commands, or the option has a reason."""
    image = {field.name for field in fields(Options)}
    # SOURCE_DATE_EPOCH is a matter of the call.
    assert set(model.IMAGE_FIELDS.values()) == image - {"epoch"}
    known = {key.name.replace("-", "_") for key in TOP.keys}
    setup = {field.name for field in fields(Request)}
    # Places are the machine's, stages a matter of the call; a pool makes no image; two keys have
    # other names.
    elsewhere = {"board", "custom_ebuild_overlays", "staging_dir", "final_dir", "wrapper_dir",
                 "force", "first_stage", "last_stage", "say", "pool", "pool_key"}  # fmt: skip
    assert setup - elsewhere <= known
    assert {"boards", "overlays"} <= known
    recipe = load(tmp_path, GOOD.replace("[image]", '[image]\nsign-key = "k.pem"\nkeep = ["docs"]'))
    options = recipe.image_options(epoch=5)
    assert (options.sign_key, options.keep, options.epoch) == (
        str(tmp_path / "k.pem"),
        ("docs",),
        5,
    )


def test_no_key_stands_twice() -> None:
    for table in TABLES:
        assert len(table.by_name) == len(table.keys), table.name


def test_binhosts_are_names_urls_and_paths_of_the_recipe(tmp_path: Path) -> None:
    text = 'binhost = ["pool", "./pkgs", "https://pool.example.org/a"]\nbinhost-key = ["key.asc"]\n'
    options = load(tmp_path, text + GOOD).setup_options()
    assert options["binhost"] == ["pool", str(tmp_path / "pkgs"), "https://pool.example.org/a"]
    assert options["binhost_key"] == [tmp_path / "key.asc"]
    unverified = load(tmp_path, 'binhost = ["pool"]\nbinhost-key = ["none"]\n' + GOOD)
    assert unverified.setup_options()["binhost_key"] == ["none"]


def test_every_key_is_documented() -> None:
    page = (CHECKOUT / "docs/your-own-software.md").read_text()
    for table in TABLES:
        for key in table.keys:
            assert f"| `{key.name}` |" in page, key.name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("1.2", "1.2"), ("1.0a1", "1.0_alpha1"), ("2!1.0rc2", "1.0_rc2"), ("1.0.post3", "1.0_p3"),
     ("2024.7.4", "2024.7.4"), ("1.0.dev4", "1.0_pre4"), ("1.0+local", "1.0")],
)  # fmt: skip
def test_a_version_of_pypi_becomes_one_of_portage(theirs: str, ours: str) -> None:
    from portage.versions import ververify

    assert from_pep440(theirs) == ours
    assert ververify(ours)
