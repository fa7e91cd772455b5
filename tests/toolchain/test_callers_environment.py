# SPDX-License-Identifier: BSD-3-Clause
"""The caller's environment does not point a compiler at headers and libraries elsewhere.

The package compiles and links with the prefix's tools and without a C library, which is fast.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay

pytestmark = pytest.mark.needs_root

ASTRAY = """
src_compile() {
	echo '#include <elsewhere.h>' > header.c || die
	"${CC}" -E header.c > /dev/null 2>&1 && die "found a header elsewhere"
	echo 'int elsewhere(void); int here(void) { return elsewhere(); }' > library.c || die
	"${CC}" -shared -nostdlib library.c -lelsewhere -o library.so 2>/dev/null && die "found a library elsewhere"
	echo 'int here(void) { return 1; }' > plain.c || die
	"${CC}" -shared -nostdlib plain.c -o plain.so || die
	"${READELF}" -d plain.so | grep -E 'R(UN)?PATH' && die "looks for libraries elsewhere"
	[[ -z ${CMAKE_PREFIX_PATH}${PYTHONPATH}${LD_LIBRARY_PATH} ]] || die "variables of the caller's"
}
"""

OWN = """
export CPATH=${WORKDIR}/own
pkg_setup() {
	export C_INCLUDE_PATH=${WORKDIR}/set-up
}
src_compile() {
	mkdir own set-up || die
	echo > own/own.h || die
	echo > set-up/set-up.h || die
	printf '#include <%s>\\n' own.h set-up.h > own.c || die
	"${CC}" -E own.c > /dev/null || die "what the ebuild sets is lost"
}
"""


@pytest.fixture(scope="module")
def compiling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InUse]:
    base = tmp_path_factory.mktemp("astray")
    overlay = Overlay(base / "overlay", "astray-tests")
    overlay.ebuild("app-misc/astray-1.0", ASTRAY)
    overlay.ebuild("app-misc/own-1.0", OWN)
    yield Machine(base / "machine").setup("astray", f"--custom_ebuild_overlays={overlay.path}")


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Variables that point at a header and a library outside the prefix."""
    (tmp_path / "elsewhere.h").write_text("")
    (tmp_path / "elsewhere.c").write_text("int elsewhere(void) { return 1; }\n")
    subprocess.run(
        ["gcc", "-shared", "-nostdlib", "elsewhere.c", "-o", "libelsewhere.so"],
        cwd=tmp_path,
        check=True,
    )
    names = (
        "CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH LIBRARY_PATH LD_RUN_PATH LD_LIBRARY_PATH CMAKE_PREFIX_PATH"
        " PKG_CONFIG_PATH PYTHONPATH"
    )
    return dict.fromkeys(names.split(), str(tmp_path))


@pytest.mark.parametrize("how", ["wrapper", "plain"])
def test_a_compiler_finds_nothing_where_the_caller_points(
    compiling: InUse, elsewhere: dict[str, str], how: str
) -> None:
    words = ("--oneshot", "--quiet", "app-misc/astray")
    if how == "wrapper":
        done = compiling.emerge("--stage", *words, env=elsewhere)
    else:
        done = compiling.plain("staging", "emerge", *words, env=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("how", ["wrapper", "plain"])
def test_what_an_ebuild_sets_for_itself_stays(compiling: InUse, how: str) -> None:
    words = ("--oneshot", "--quiet", "app-misc/own")
    done = (
        compiling.emerge("--stage", *words)
        if how == "wrapper"
        else compiling.plain("staging", "emerge", *words)
    )
    assert done.returncode == 0, done.stdout + done.stderr
