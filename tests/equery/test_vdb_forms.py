# SPDX-License-Identifier: BSD-3-Clause
"""Each query has the same answer on each form of the VDB: one file a field, or one a package.

Portage 3.0.82 introduced the second form (``emaint --fix vdb --delete-individual-files``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from answers import Answer
from fixture_prefix import Fixture

QUERIES = (
    "belongs /usr/bin/extra", "check *", "check -o *", "depends dev-libs/beta", "depends -a gamma",
    "depgraph app-misc/alpha", "files x11-misc/extra", "files --tree *", "has SLOT 0",
    "has repository main", "has EAPI 8", "hasuse foo", "hasuse -i bar", "keywords app-misc/alpha",
    "list *", "list -F $cpv:$slot::$repo *", "list -F $mask:$location *", "list -o *", "list -I -p *",
    "list --duplicates *", "meta app-misc/alpha", "size *", "uses app-misc/zeta", "uses -i beta",
    "which app-misc/alpha",
)  # fmt: skip
"""Every query, those that read recorded fields with several."""


def directories(prefix: Fixture) -> list[Path]:
    vdb = prefix.eroot / "var/db/pkg"
    return sorted(path for path in vdb.glob("*/[!-]*") if (path / "CONTENTS").is_file())


@pytest.fixture(params=["one file", "mixed"])
def form(request: pytest.FixtureRequest, prefix: Fixture) -> Iterator[Callable[[], None]]:
    """A function that gives the VDB of the fixture another form, until the test has ended."""
    vartree: Any = pytest.importorskip("portage.dbapi.vartree")
    if not hasattr(vartree, "_consolidate_to_metadata_file"):
        pytest.skip("this Portage has no other form of the VDB")
    chosen = directories(prefix)[:: 1 if request.param == "one file" else 2]
    assert chosen

    def convert() -> None:
        for path in chosen:
            vartree._consolidate_to_metadata_file(str(path), delete_individual=True)
            assert not (path / "SLOT").exists()

    yield convert
    for path in chosen:
        vartree._explode_metadata_file(str(path))


def test_each_query_has_the_same_answer(
    prefix: Fixture, equery: Callable[..., Answer], form: Callable[[], None]
) -> None:
    before = {query: equery(*query.split()) for query in QUERIES}
    assert all(answer.code in (0, 1, 3) for answer in before.values())
    assert "::" in before["list -F $cpv:$slot::$repo *"].out
    form()
    for query, answer in before.items():
        assert equery(*query.split()) == answer, query
