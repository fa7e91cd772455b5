# SPDX-License-Identifier: BSD-3-Clause
"""SOURCE_DATE_EPOCH in builds is the time of the newest file of the sources."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from machine import InUse, Overlay

pytestmark = pytest.mark.needs_root

OF_THE_SOURCES = 1500000000

BODY = """
S=${WORKDIR}
src_unpack() {
    touch -d @%(old)s first
    touch -d @%(time)s second
    echo "int main(void) { return 0; }" >made-by-unpack.c
}
src_prepare() {
    default
    touch patched
}
src_configure() { echo "configure=${SOURCE_DATE_EPOCH-none}" >>dates; }
src_compile() {
    %(ebuild)s
    echo "compile=${SOURCE_DATE_EPOCH-none}" >>dates
    env | grep -q ^SOURCE_DATE_EPOCH= && echo "exported=yes" >>dates
    echo "char time[] = __DATE__ __TIME__;" | ${CHOST}-gcc -E -P - | sed -n 's/.*= */text=/p' >>dates
}
src_install() {
    echo "install=${SOURCE_DATE_EPOCH-none}" >>dates
    insinto /usr/share/${PN}
    doins dates
}
"""


def dates(prefix: InUse, overlay: Overlay, name: str, **values: object) -> Mapping[str, str]:
    """Build a package; return what its phases saw."""
    body = BODY % {"old": OF_THE_SOURCES - 9, "time": OF_THE_SOURCES, "ebuild": ":", **values}
    package = overlay.ebuild(f"test-date/{name}-1", body)
    prefix.install("--oneshot", package)
    seen = (prefix.eroot("final") / f"usr/share/{name}/dates").read_text()
    return dict(line.split("=", 1) for line in seen.splitlines())


def test_a_build_has_the_time_of_its_sources(empty_prefix: InUse, overlay: Overlay) -> None:
    seen = dates(empty_prefix, overlay, "plain")
    assert seen["configure"] == seen["compile"] == str(OF_THE_SOURCES)
    assert seen["exported"] == "yes"
    assert seen["text"] == '"Jul 14 2017" "02:40:00";'


def test_an_installation_has_none_because_python_would_check_hashes_then(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    assert dates(empty_prefix, overlay, "installs")["install"] == "none"


def test_an_ebuild_sets_its_own(empty_prefix: InUse, overlay: Overlay) -> None:
    seen = dates(empty_prefix, overlay, "own", ebuild="export SOURCE_DATE_EPOCH=86400")
    assert seen["compile"] == seen["install"] == "86400"


def test_a_time_that_zip_archives_cannot_have_becomes_1980(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    seen = dates(empty_prefix, overlay, "ancient", old=5, time=7)
    assert seen["compile"] == "315532800"
