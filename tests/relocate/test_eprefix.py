# SPDX-License-Identifier: BSD-3-Clause
"""The EPREFIX of a pool."""

import pytest

from flatcar_prefix.prefix import names
from flatcar_prefix.relocate.eprefix import (
    LENGTH,
    MARK,
    PIECE,
    is_pool_eprefix,
    pieces,
    pool_eprefix,
)


@pytest.mark.parametrize("name", ["main", "a", "", "python-3.11", "Ä"])
def test_each_eight_bytes_of_a_pools_eprefix_are_unmistakable(name):
    path = pool_eprefix(name).encode()
    assert len(path) == LENGTH >= 100
    found = pieces(path)
    assert len(set(found)) == len(path) - PIECE + 1
    assert all(MARK in piece for piece in found)


def test_a_pools_eprefix_depends_on_the_name_alone():
    assert pool_eprefix("main") == pool_eprefix("main") != pool_eprefix("other")
    both = set(pieces(pool_eprefix("main").encode())) & set(pieces(pool_eprefix("x").encode()))
    assert not both


def test_a_pools_eprefix_is_a_valid_eprefix():
    assert names.objection(pool_eprefix("main")) is None
    assert pool_eprefix("main").startswith("/opt/")


def test_only_a_pools_eprefix_is_recognized():
    assert is_pool_eprefix(pool_eprefix("main"))
    for path in ("/usr/local/demo", "/opt/" + "a" * 105, pool_eprefix("main") + "b", ""):
        assert not is_pool_eprefix(path)
