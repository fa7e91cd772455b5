# SPDX-License-Identifier: BSD-3-Clause
"""The places of binary packages that a user can name."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from flatcar_prefix.binhost import where
from flatcar_prefix.boards import board
from flatcar_prefix.errors import UsageError

AMD64 = board("amd64-usr")


def test_urls_and_directories_are_found_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Packages").touch()
    monkeypatch.chdir(tmp_path)
    words = ["https://pool.example.org/a/", str(tmp_path), "https://pool.example.org/a", "."]
    found = where.find(words, AMD64)
    assert [one.uri for one in found] == ["https://pool.example.org/a", f"file://{tmp_path}"]
    assert found[0].name == "pool-example-org-a"
    again = where.find(["ssh://pool.example.org/a"], AMD64, besides=found)
    assert [one.name for one in again][2] == "pool-example-org-a-2"


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("rsync://host/x", "scheme"),
        ("https:///x", "no host"),
        ("https://host/a b", "character"),
        ("https://host/$(reboot)", "character"),
        ("/nonexistent", "no index"),
    ],
)
def test_other_places_are_refused(word: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        where.find([word], AMD64)
    assert caught.value.hint.endswith(".")


def test_a_directory_that_a_url_cannot_name_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "a b"
    odd.mkdir()
    (odd / "Packages").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        where.find([str(odd)], AMD64)


def test_binrepos_conf_keeps_an_encoded_url(tmp_path: Path) -> None:
    from flatcar_prefix.prefix.model import Binhost

    class Prefix:
        binhosts = (Binhost("a", "https://host/a%20b"), Binhost("b", "https://host/b"))
        verify_binhosts = True

        class staging:
            pkgdir = tmp_path

    parser = configparser.ConfigParser()
    parser.read_string(where.binrepos_conf(Prefix))  # type: ignore[arg-type]
    assert parser["a"]["sync-uri"] == "https://host/a%20b"
    assert parser["a"]["verify-signature"] == "true"
    assert int(parser["a"]["priority"]) > int(parser["b"]["priority"])
