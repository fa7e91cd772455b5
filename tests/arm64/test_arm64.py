# SPDX-License-Identifier: BSD-3-Clause
"""arm64-usr on a machine of another architecture: cross-compiled, and run with QEMU.

The quick tests import Debian's cross C library; the end-to-end test builds glibc.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from machine import InUse, Machine, Overlay

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root, pytest.mark.needs_namespaces]

BOARD = "arm64-usr"

HELLO = """
src_compile() {
	${CC} ${CFLAGS} ${LDFLAGS} -o testarm "${FILESDIR}/hello.c" || die
	${CXX} ${CXXFLAGS} ${LDFLAGS} -o testarm++ "${FILESDIR}/hello.cc" || die
}
src_install() {
	dobin testarm testarm++
}
"""

SOURCES = {
    "hello.c": "#include <stdio.h>\n#include <sys/utsname.h>\nint main(void) {\n"
    "struct utsname u; uname(&u); return puts(u.machine) < 0; }\n",
    "hello.cc": "#include <iostream>\n#include <string>\n"
    'int main() { std::cout << std::string("C++ on arm64") << std::endl; }\n',
}


def elf(path: Path) -> tuple[str, str]:
    """Return machine and loader of a program."""
    with path.open("rb") as stream:
        file = ELFFile(stream)
        loader = next(s for s in file.iter_segments() if s.header.p_type == "PT_INTERP")
        return file.header.e_machine, loader.get_interp_name()


def extension_release(image: Path) -> dict[str, str]:
    name = f"usr/lib/extension-release.d/extension-release.{image.stem}"
    text = subprocess.run(
        ["unsquashfs", "-cat", image, name], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture(scope="module")
def imported(shared_machine: Machine, overlay: Overlay) -> InUse:
    overlay.ebuild("test-arm/hello-1", HELLO, files=SOURCES)
    prefix = shared_machine.setup(
        "far", "--bootstrap=import", f"--board={BOARD}",
        f"--custom_ebuild_overlays={overlay.path}",
    )  # fmt: skip
    prefix.install("test-arm/hello")
    return prefix


RUNS = """
src_configure() {
	${CC} ${CFLAGS} ${LDFLAGS} -o conftest "${FILESDIR}/hello.c" || die
	./conftest >said || die "configure cannot run what it compiled"
}
src_compile() {
	sh -c ./conftest >>said || die
}
src_install() {
	insinto /usr/share/runs
	doins said
}
"""


@pytest.mark.skipif(
    tuple(map(int, os.uname().release.split(".")[:2])) < (6, 7),
    reason="binfmt_misc in a namespace needs Linux 6.7",
)
def test_builds_run_what_they_compiled(imported: InUse, overlay: Overlay) -> None:
    """The machine need not have binfmt_misc set up: Linux 6.7 allows it in a namespace."""
    overlay.ebuild("test-arm/runs-1", RUNS, files=SOURCES)
    imported.install("test-arm/runs")
    assert (imported.final / "usr/share/runs/said").read_text() == "aarch64\naarch64\n"


def test_programs_are_of_the_boards_machine_and_loader(imported: InUse) -> None:
    for name in ("testarm", "testarm++"):
        loader = f"{imported.eprefix}/lib/ld-linux-aarch64.so.1"
        assert elf(imported.final / "usr/bin" / name) == ("EM_AARCH64", loader)


def test_it_is_self_contained(imported: InUse) -> None:
    report = imported.machine.fp("verify", "far", "--board", BOARD)
    assert report.returncode == 0, report.stdout


@pytest.mark.parametrize(
    ("program", "says"), [("testarm", "aarch64\n"), ("testarm++", "C++ on arm64\n")]
)
def test_programs_run_where_nothing_else_is(imported: InUse, program: str, says: str) -> None:
    ran = imported.machine.fp("run", "far", "--board", BOARD, "--", program)
    assert (ran.stdout, ran.stderr) == (says, "")


def test_the_image_is_for_that_machine(imported: InUse, tmp_path: Path) -> None:
    image = tmp_path / "far.raw"
    made = imported.machine.fp("sysext", "far", "--board", BOARD, "-o", image)
    assert made.returncode == 0, made.stderr
    assert extension_release(image)["ARCHITECTURE"] == "arm64"


def test_both_boards_of_a_name_stand_side_by_side(imported: InUse) -> None:
    machine = imported.machine
    near = machine.setup("far", "--bootstrap=none", "--board=amd64-usr")
    machines = {}
    for prefix in (imported, near):
        said = machine.ok(prefix.wrapper("portageq"), "envvar", "CHOST", "EROOT", "ARCH")
        machines[prefix.board] = said.stdout.split()
    assert machines["arm64-usr"][::2] == ["aarch64-cros-linux-gnu", "arm64"]
    assert machines["amd64-usr"][::2] == ["x86_64-cros-linux-gnu", "amd64"]
    assert machines["arm64-usr"][1] != machines["amd64-usr"][1]
    # The short name belongs to the first prefix; removing the other does not change it.
    short = machine.bin / "emerge-prefix-far"
    assert short.resolve().name == f"emerge-prefix-far-{BOARD}"
    listed = json.loads(machine.fp("list", "--json").stdout)
    assert {p["board"] for p in listed if p["name"] == "far"} == {"amd64-usr", "arm64-usr"}
    assert machine.fp("uninstall", "far", "--board", "amd64-usr").returncode == 0
    assert not near.wrapper("emerge").exists()
    assert imported.wrapper("emerge").exists()
    assert machine.fp("run", "far", "--", "testarm").stdout == "aarch64\n"


@pytest.mark.by_hand
@pytest.mark.network
@pytest.mark.timeout(5400)
def test_from_source_to_an_image(machine: Machine) -> None:
    """Cross-compile glibc, grep and bzip2; verify and run them, and make an image."""
    prefix = machine.setup("farsrc", "--bootstrap=source", f"--board={BOARD}")
    prefix.install("sys-apps/grep", "app-arch/bzip2")
    loader = f"{prefix.eprefix}/lib/ld-linux-aarch64.so.1"
    for name in ("usr/bin/bzip2", "usr/bin/grep"):
        path = next(p for p in (prefix.final / name, prefix.final / name[4:]) if p.exists())
        assert elf(path) == ("EM_AARCH64", loader)
    report = machine.fp("verify", "farsrc", "--strict")
    assert report.returncode == 0, report.stdout
    ran = machine.fp("run", "farsrc", "--", "grep", "-o", "arm", input="no leg, an arm\n",
                     stdin=None)  # fmt: skip
    assert ran.stdout == "arm\n"
    image = machine.base / "farsrc.raw"
    made = machine.fp("sysext", "farsrc", "-o", image)
    assert made.returncode == 0, made.stderr
    assert extension_release(image)["ARCHITECTURE"] == "arm64"
