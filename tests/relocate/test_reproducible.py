# SPDX-License-Identifier: BSD-3-Clause
"""Two builds of one source at the same path give the same bytes.

``tests/relocate/comparison.py --exact`` compares whole prefixes.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from comparison import compare
from machine import InUse, Machine, Overlay

from flatcar_prefix.prefix import record

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.timeout(900),
]

DATED = """
S=${WORKDIR}
src_unpack() {
    echo 'char date[] = __DATE__, time[] = __TIME__, file[] = __FILE__;' >dated.c
    echo 'int main(void) { return date[0] && time[0] && file[0] ? 0 : 1; }' >>dated.c
    touch -d @1500000000 dated.c
}
src_compile() {
    ${CHOST}-gcc ${CFLAGS} ${LDFLAGS} -g -o dated dated.c || die
}
src_install() {
    dobin dated
}
"""


def built(directory: Path) -> InUse:
    """Build the packages on a machine of its own: two prefixes of one have different paths."""
    machine = Machine(directory / "machine")
    overlay = Overlay(directory / "overlay", "dates")
    package = overlay.ebuild("test-date/dated-1", DATED)
    prefix = machine.setup(
        "same", "--bootstrap=import", f"--custom_ebuild_overlays={overlay.path}",
        eprefix="/usr/local/same",
    )  # fmt: skip
    said = prefix.install("app-arch/bzip2", package).stdout
    assert said.count(">>> Emerging (") == 2
    return prefix


def test_the_directory_and_the_time_of_a_build_do_not_show(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    one = built(tmp_path_factory.mktemp("one"))
    time.sleep(1.1)  # __TIME__ has seconds
    other = built(tmp_path_factory.mktemp("another-directory"))
    for kind in ("staging", "final"):
        roots = [record.read(prefix.staging_dir).root(kind) for prefix in (one, other)]
        compared = dict(compare(*roots, exact=True))
        assert {"app-arch/bzip2", "test-date/dated"} <= {n.rsplit("-", 1)[0] for n in compared}
        differing = {name: each.differences for name, each in compared.items() if each.differences}
        assert differing == {}
