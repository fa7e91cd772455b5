# SPDX-License-Identifier: BSD-3-Clause
"""Portage reads the written values of make.conf and repos.conf back."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st

from flatcar_prefix.config.quoting import assignments, quote
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.repository import Repository, check_location, repos_conf

VALUES = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]))


def read_back(text: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    portage_api.import_portage()
    from portage.util import getconfig

    path = tmp_path_factory.getbasetemp() / "make.conf"
    path.write_text(text, encoding="utf-8", newline="")
    return dict(getconfig(str(path), allow_sourcing=True, expand=True))


@given(value=VALUES)
@example(value="source")
@example(value="\\'$x")
@example(value="a\"b'c$d\\e")
@example(value="${URI}")
@example(value='\\\\"$')
@settings(max_examples=400, deadline=None)
def test_any_value_is_read_back_as_it_was_meant(
    value: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = f'X={quote(value)}\nAFTER="yes"\n'
    assert read_back(text, tmp_path_factory) == {"X": value, "AFTER": "yes"}


@given(words=st.lists(st.from_regex(r"[A-Za-z0-9=,./+-]+", fullmatch=True), min_size=1))
@settings(max_examples=100, deadline=None)
def test_a_list_is_read_back_as_its_words(
    words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = assignments({"USE": words})
    assert read_back(text, tmp_path_factory)["USE"].split() == words


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_value_that_make_conf_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        quote(value)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: name != "DEFAULT"
)
LOCATIONS = st.from_regex(r"(/[A-Za-z0-9._+ ='\"$-]*[A-Za-z0-9._+]){1,4}", fullmatch=True)


@given(
    repos=st.lists(
        st.builds(
            Repository,
            name=NAMES,
            location=LOCATIONS.map(Path),
            masters=st.lists(NAMES, max_size=3).map(tuple),
            priority=st.none() | st.integers(-5000, 5000),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda r: r.name,
    )
)
@settings(max_examples=150, deadline=None)
def test_portage_reads_back_the_repositories_that_were_meant(
    repos: list[Repository], tmp_path_factory: pytest.TempPathFactory
) -> None:
    portage_api.import_portage()
    from portage.util.configparser import ConfigParserError, SafeConfigParser, read_configs

    path = tmp_path_factory.getbasetemp() / "repos.conf"
    path.write_text(repos_conf(repos, main_repo=repos[0].name), encoding="utf-8")
    parser = SafeConfigParser(defaults={"EPREFIX": "/usr/local/x"})
    try:
        read_configs(parser, [str(path)])
    except ConfigParserError as error:  # pragma: no cover - the assertion is what reports it
        raise AssertionError(path.read_text()) from error
    assert parser.defaults()["main-repo"] == repos[0].name
    assert parser.sections() == [r.name for r in repos]
    for r in repos:
        section = parser[r.name]
        assert section["location"] == str(r.location)
        assert tuple(section.get("masters", "").split()) == r.masters
        assert section.get("priority") == (None if r.priority is None else str(r.priority))


@pytest.mark.parametrize("location", ["/a%b", "/a\nb", "/a #b", " /a", "/a "])
def test_a_location_that_repos_conf_cannot_hold_is_refused(location: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        check_location(Path(location))


def test_repos_conf_is_an_ini_file_that_others_can_read_too() -> None:
    text = repos_conf([Repository("a", Path("/r/a"))], main_repo="a")
    parser = configparser.ConfigParser()
    parser.read_string(text)
    assert parser["a"]["location"] == "/r/a"
