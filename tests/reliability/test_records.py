# SPDX-License-Identifier: BSD-3-Clause
"""A damaged record is an error of one sentence, and never more than that.

The number of examples is ``FLATCAR_PREFIX_EXAMPLES``.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import markers, record
from flatcar_prefix.prefix.model import Prefix, Toolchain
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.system.trees import overlap

EXAMPLES = int(os.environ.get("FLATCAR_PREFIX_EXAMPLES", "1000"))

pytestmark = pytest.mark.timeout(max(300, EXAMPLES // 3))

PREFIX = Prefix(
    name="whole",
    eprefix="/usr/local/whole",
    board=BOARDS["amd64-usr"],
    staging_dir=Path("/nowhere/build/whole"),
    final_dir=Path("/nowhere/final/whole"),
    repositories=(Repository("main", Path("/nowhere/main"), (), None, ("gentoo",)),),
    main_repo="main",
    distdir=Path("/nowhere/distfiles"),
    depcachedir=Path("/nowhere/depcache"),
    toolchain=Toolchain("host", "/usr/bin/gcc", "/usr/bin/g++", "/usr/bin/", "", "gcc 12"),
    profile="main:default/linux",
    identity="0123456789abcdef" * 2,
    kept=("final",),
    created=1.5,
)
WHOLE = record.to_record(PREFIX)

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "/", ".", "..", "/etc", "/usr/local", "/nowhere/../etc/x", "relative", "/a/b\0c",
         "/nowhere/build/whole/inside", "/nowhere/build", "\ud800", "x" * 5000, -1, 2**70, [], {}]
    ),
    st.lists(st.integers() | st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip

KEYS = sorted(json.loads(WHOLE))


def places(data: Any) -> list[tuple[Any, Any]]:
    """Return every container in the data with each of its keys."""
    found = []
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        found.append((data, key))
        if isinstance(value, (dict, list)):
            found += places(value)
    return found


@st.composite
def changed_values(draw: st.DrawFn) -> bytes:
    """Return a record in which some values are replaced, removed or added."""
    data = json.loads(WHOLE)
    for _ in range(draw(st.integers(1, 4))):
        spots = places(data)
        container, key = spots[draw(st.integers(0, len(spots) - 1))]
        if draw(st.booleans()) or isinstance(container, list):
            container[key] = draw(ODD)
        elif draw(st.booleans()):
            del container[key]
        else:
            container[draw(st.text(max_size=8) | st.sampled_from(KEYS))] = draw(ODD)
    return json.dumps(data).encode("utf-8", "surrogatepass")


@st.composite
def changed_bytes(draw: st.DrawFn) -> bytes:
    """Return a record with some bytes replaced, cut out or inserted."""
    text = bytearray(WHOLE.encode())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(text) - 1)))
        end = at + draw(st.integers(0, 40))
        text[at:end] = draw(st.binary(max_size=8))
    return bytes(text)


def judge(text: bytes) -> None:
    """Read a record: the result is a prefix that can be used, or a :class:`PrefixError`."""
    try:
        prefix = record.from_record(text)
    except PrefixError as error:
        assert error.hint
        assert "\n" not in str(error).strip()
        return
    for place in (prefix.staging_dir, prefix.final_dir):
        assert place.is_absolute()
        assert len(place.parts) > 2
        assert os.path.normpath(place) == str(place)
        os.path.lexists(place)
    assert not overlap(prefix.staging_dir, prefix.final_dir)
    assert prefix.eprefix.startswith("/")
    assert prefix.bootstrap in ("source", "import", "none")
    assert record.from_record(record.to_record(prefix)) == prefix


@given(text=changed_values() | changed_bytes())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_mutated_record_is_a_prefix_or_an_error(text: bytes) -> None:
    judge(text)


@given(text=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=EXAMPLES // 5, deadline=None)
def test_any_bytes_are_an_error(text: bytes) -> None:
    judge(text)


def test_a_record_of_brackets_is_an_error() -> None:
    with pytest.raises(PrefixError):
        record.from_record("[" * 100_000)
    with pytest.raises(PrefixError):
        record.from_record('{"a":' * 100_000)


def test_each_field_alone_is_checked() -> None:
    """No field accepts a value of another type."""
    random.seed(1)
    whole = json.loads(WHOLE)
    accepted = set()
    for key in KEYS:
        for wrong in (None, 3.5, [], {}, "\0", "\ud800", True, [[]]):
            if isinstance(wrong, type(whole[key])) and wrong not in ("\0", "\ud800", [[]]):
                continue
            try:
                record.from_record(json.dumps({**whole, key: wrong}))
            except PrefixError:
                continue
            accepted.add((key, repr(wrong)))
    # An integer is a number, and JSON does not tell "1.0" from "1".
    assert accepted <= {("created", "3.5")}


@given(text=st.binary(max_size=100) | changed_bytes())
@settings(max_examples=EXAMPLES // 5, deadline=None)
def test_a_mutated_marker_is_a_marker_or_nothing(text: bytes) -> None:
    markers.from_text(text)


def test_a_marker_says_what_the_prefix_is() -> None:
    marker = markers.marker(PREFIX, "final")
    text = json.dumps(vars(marker), default=os.fspath)
    assert markers.from_text(text.encode()) == marker
    again = markers.as_prefix(marker)
    assert (again.id, again.identity, again.final_dir) == (
        PREFIX.id,
        PREFIX.identity,
        PREFIX.final_dir,
    )


@pytest.mark.parametrize("key", ["identity", "kind", "board", "name", "staging_dir", "eprefix"])
def test_a_marker_with_a_wrong_value_is_no_marker(key: str) -> None:
    known = {**vars(markers.marker(PREFIX, "final")), key: "/"}
    assert markers.from_text(json.dumps(known, default=os.fspath).encode()) is None
