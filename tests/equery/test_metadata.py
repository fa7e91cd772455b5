# SPDX-License-Identifier: BSD-3-Clause
"""metadata.xml that means harm, or is broken."""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from answers import Equery
from fixture_prefix import Fixture
from hypothesis import given, settings, strategies as st

from flatcar_prefix.equery.metadata_xml import MAX_BYTES, Metadata, MetadataError, load, parse
from flatcar_prefix.equery.output import Screen

BOMB = (
    "<!DOCTYPE pkgmetadata [<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))
    + "]><pkgmetadata><longdescription>&a11;</longdescription></pkgmetadata>"
)


@pytest.fixture
def metadata_xml(prefix: Fixture) -> Iterator[Path]:
    """A package's file, to be overwritten; put back afterwards."""
    path = prefix.repo / "app-misc" / "alpha" / "metadata.xml"
    saved = path.with_suffix(".saved")
    shutil.copy(path, saved)
    yield path
    saved.replace(path)


def _warning(path: Path) -> tuple[Metadata, str]:
    err = io.StringIO()
    screen = Screen(io.StringIO(), err, {})
    return load(os.fspath(path), screen), err.getvalue()


def test_an_entity_bomb_is_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "metadata.xml"
    path.write_text(BOMB)
    metadata, _ = _warning(path)
    assert not any("haha" in text for text in metadata.descriptions)


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    path = tmp_path / "metadata.xml"
    path.write_text(
        f'<!DOCTYPE pkgmetadata [<!ENTITY x SYSTEM "file://{secret}">]>'
        '<pkgmetadata><longdescription>a&x;b</longdescription><use><flag name="f">&x;</flag></use>'
        "<maintainer><email>&x;</email></maintainer></pkgmetadata>"
    )
    metadata, _ = _warning(path)
    assert "secret" not in repr(metadata).replace(str(secret), "")


def test_nothing_is_fetched_from_the_network(tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/metadata.dtd"
        path = tmp_path / "metadata.xml"
        path.write_text(
            f'<!DOCTYPE pkgmetadata SYSTEM "{url}" [<!ENTITY % p SYSTEM "{url}">%p;'
            f'<!ENTITY e SYSTEM "{url}">]><pkgmetadata><longdescription>&e;</longdescription>'
            f'<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{url}"/></x>'
            "</pkgmetadata>"
        )
        _warning(path)
        server.shutdown()
    assert asked == []


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "metadata.xml"
    with path.open("wb") as file:
        file.write(b"<pkgmetadata>")
        file.truncate(1 << 40)
    metadata, warning = _warning(path)
    assert metadata == Metadata()
    assert warning == f"!!! {path}: larger than {MAX_BYTES} bytes, not read\n"


def test_depth_without_end_is_refused() -> None:
    with pytest.raises(MetadataError):
        parse(b"<pkgmetadata>" + b"<a>" * 100_000)


@pytest.mark.parametrize(
    "text",
    ["", "<pkgmetadata>", "no xml", "<other/>", "\0", "<pkgmetadata><use></pkgmetadata>"],
)
def test_a_broken_file_is_one_line_of_warning(
    equery: Equery, metadata_xml: Path, text: str
) -> None:
    metadata_xml.write_text(text)
    for query in ("meta", "uses"):
        answer = equery(query, "alpha")
        assert answer.code == 0
        assert answer.err.count("\n") == 1
        assert answer.err.startswith(f"!!! {metadata_xml}: ")
    # equery prints the data that do not come from the file.
    assert "Homepage:    https://example.org/" in equery("meta", "alpha").lines
    assert "+foo" in equery("uses", "alpha").lines


def test_a_directory_in_the_files_place_is_a_warning(equery: Equery, metadata_xml: Path) -> None:
    metadata_xml.unlink()
    metadata_xml.mkdir()
    try:
        answer = equery("meta", "-m", "alpha")
        assert (answer.code, answer.err.count("\n")) == (0, 1)
    finally:
        metadata_xml.rmdir()


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_a_traceback(data: bytes) -> None:
    try:
        parse(data)
    except MetadataError as error:
        assert "\n" not in str(error)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1))
def test_text_comes_back_as_it_was_written(text: str) -> None:
    from xml.sax.saxutils import escape

    data = f"<pkgmetadata><maintainer><name>{escape(text)}</name></maintainer></pkgmetadata>"
    assert parse(data.encode()).maintainers[0].name == text
