# SPDX-License-Identifier: BSD-3-Clause
"""The request for a prefix: one list of options for the command line and for Python."""

from __future__ import annotations

import argparse
import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import flatcar_prefix as fp
from flatcar_prefix.cli import setup as verb
from flatcar_prefix.lifecycle.request import Request, check
from flatcar_prefix.relocate.eprefix import pool_eprefix
from flatcar_prefix.system.places import detect_sdk
from flatcar_prefix.system.progress import NO_PROGRESS, as_progress


def test_setup_takes_the_fields_of_the_request() -> None:
    names = [field.name for field in fields(Request)]
    assert [*inspect.signature(fp.setup).parameters] == names


def test_each_flag_of_the_command_is_a_field_of_the_request() -> None:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    flags = {action.dest for action in parser._actions} - {
        "help",
        "version",
        "uninstall",
        "verbose",
        "quiet",
        "json",
        "cross_boss_root",
    }
    assert flags == {field.name for field in fields(Request)} - {"say"}


def test_a_flag_that_is_not_given_leaves_the_default_to_the_request() -> None:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    given = vars(parser.parse_args(["name", "/opt/name"]))
    assert given == {
        "name": "name",
        "eprefix": "/opt/name",
        "force": False,
        "uninstall": False,
        "with_gcc": False,
        "unconfined": False,
        "pool": False,
        "quiet": False,
        "verbose": False,
        "json": False,
    }


@pytest.mark.parametrize(
    ("arguments", "options", "missing"),
    [((), {}, "name"), (("x", "/opt/x"), {"bord": "amd64-usr"}, "bord")],
)
def test_wrong_arguments_are_a_type_error_that_names_them(
    arguments: tuple[str, ...], options: dict[str, Any], missing: str
) -> None:
    with pytest.raises(TypeError, match=f"argument:? '{missing}'"):
        fp.setup(*arguments, **options)


@pytest.mark.parametrize("overlays", ["/srv/overlay", Path("/srv/overlay")])
def test_one_path_is_not_a_list_of_overlays(overlays: Any) -> None:
    with pytest.raises(fp.UsageError, match="not a list"):
        fp.setup("x", "/opt/x", custom_ebuild_overlays=overlays)


def test_only_a_pool_has_a_path_of_its_own() -> None:
    sdk = detect_sdk()
    with pytest.raises(fp.UsageError, match="not absolute"):
        check(Request("x"), sdk)
    path = check(Request("x", pool=True), sdk).eprefix
    assert path == pool_eprefix("x") and len(path) >= 100
    assert check(Request("x", path, pool=True), sdk).eprefix == path
    with pytest.raises(fp.UsageError, match="the path of the pool x is"):
        check(Request("x", "/opt/x", pool=True), sdk)
    with pytest.raises(fp.UsageError, match="for pools only"):
        check(Request("x", "/opt/x", pool_key="none"), sdk)


@pytest.mark.parametrize(
    ("locales", "bootstrap", "message"),
    [
        (["de_DE"], "source", "'de_DE' is not a locale with a character set"),
        (["../x.UTF-8"], "source", "is not a locale"),
        (["de_DE.UTF-8 x"], "source", "is not a locale"),
        (["de_DE.UTF-8"], "import", "an imported C library reads the locales of the machine"),
        ("de_DE.UTF-8", "source", "not a list"),
    ],
)
def test_locales_that_no_prefix_can_have_are_refused(
    locales: Any, bootstrap: str, message: str
) -> None:
    with pytest.raises(fp.UsageError, match=message):
        check(Request("x", "/opt/x", locales=locales, bootstrap=bootstrap), detect_sdk())


def test_locales_are_in_the_request() -> None:
    names = ["de_DE.UTF-8", "sr_RS.UTF-8@latin", "ja_JP.EUC-JP", "eo.UTF-8"]
    assert check(Request("x", "/opt/x", locales=names), detect_sdk()).request.locales == names


def test_a_board_is_as_good_as_its_name() -> None:
    sdk = detect_sdk()
    board = fp.BOARDS["arm64-usr"]
    by_name = check(Request("x", "/opt/x", board="arm64-usr"), sdk)
    assert check(Request("x", "/opt/x", board=board), sdk).board is by_name.board is board


def test_a_plain_function_receives_steps_and_warnings() -> None:
    said: list[str] = []
    progress = as_progress(said.append)
    progress("a step")
    progress.warn("a warning")
    progress.alive("a step, 3 s")
    assert said == ["a step", "a warning"]


def test_a_progress_is_used_as_it_is() -> None:
    assert as_progress(NO_PROGRESS) is NO_PROGRESS
