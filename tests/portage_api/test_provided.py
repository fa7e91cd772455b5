# SPDX-License-Identifier: BSD-3-Clause
"""Dependencies that only package.provided satisfies."""

from __future__ import annotations

import pytest

from flatcar_prefix.portage_api import session
from flatcar_prefix.portage_api.provided import only_provided

PROVIDED = {"a/provided", "a/too"}
THERE = {"a/there"}


@pytest.mark.parametrize(
    ("rdepend", "expected"),
    [
        ("", []),
        ("a/there a/elsewhere", []),
        ("a/provided", ["a/provided"]),
        (">=a/provided-2:0=[flag(+)?]", [">=a/provided-2:0=[flag(+)]"]),
        ("!a/provided !!a/too", []),
        ("on? ( a/provided ) off? ( a/too )", ["a/provided"]),
        ("|| ( a/provided a/there )", []),
        ("|| ( a/absent a/provided a/too )", ["a/provided"]),
        ("|| ( ( a/there a/absent ) a/too )", ["a/too"]),
        ("|| ( ( a/there a/there ) a/too )", []),
        ("|| ( ( a/there a/provided ) a/absent )", ["a/provided"]),
        ("|| ( || ( a/absent a/there ) a/too )", []),
        ("a/too || ( a/provided ) a/too", ["a/too", "a/provided"]),
        ("|| ( a/broken", []),
    ],
)
def test_what_is_only_provided(rdepend: str, expected: list[str]) -> None:
    session.import_portage()
    metadata = {"RDEPEND": rdepend, "USE": "on flag", "EAPI": "8"}
    found = only_provided(metadata, PROVIDED, lambda atom: atom.cp in THERE)
    assert [str(atom) for atom in found] == expected
