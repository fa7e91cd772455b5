# SPDX-License-Identifier: BSD-3-Clause
"""configure, CMake, Meson and pkg-config find the prefix's libraries and not the host's.

The host has decoys in the directories that such programs search, /usr and /usr/local. An overlay
in a private mount namespace provides them, each with library, header and .pc file. The linked
programs print the origin of their libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from machine import InUse, Machine, Overlay, Run

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root, pytest.mark.needs_namespaces]

TRIPLET = "x86_64-linux-gnu"

HEADER = 'const char *{name}(void);\n#define {upper}_FROM "{origin}"\n'
SOURCE = 'const char *{name}(void) {{ return "{origin}"; }}\n'
PC = "Name: {name}\nDescription: of the tests\nVersion: 1\nLibs: -L{libdir} -l{name}\nCflags: -I{include}\n"

DECOYS = ("testboth", "testhost")
"""``testboth`` is on the host and in the prefix, ``testhost`` only on the host."""

LIBRARY = """
src_compile() {
	"${CC}" ${CFLAGS} -fPIC -shared -Wl,-soname,libtestboth.so ${LDFLAGS} \\
		-o libtestboth.so "${FILESDIR}/testboth.c" || die
}
src_install() {
	insinto /usr/$(get_libdir)
	doins libtestboth.so
	fperms 0755 /usr/$(get_libdir)/libtestboth.so
	insinto /usr/include
	doins "${FILESDIR}/testboth.h"
	insinto /usr/$(get_libdir)/pkgconfig
	sed -e "s,@LIBDIR@,${EPREFIX}/usr/$(get_libdir)," -e "s,@INCLUDE@,${EPREFIX}/usr/include," \\
		"${FILESDIR}/testboth.pc.in" > "${T}/testboth.pc" || die
	doins "${T}/testboth.pc"
}
"""

PROGRAM_C = """\
#include <stdio.h>
#include <testboth.h>
#ifdef HAVE_TESTHOST
#error "a library of the host was found"
#endif
int main(void) { printf("%s %s\\n", TESTBOTH_FROM, testboth()); return 0; }
"""

CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(testbs C)
find_path(BOTH_INCLUDE testboth.h REQUIRED)
find_library(BOTH_LIBRARY testboth REQUIRED)
find_path(HOST_INCLUDE testhost.h)
find_library(HOST_LIBRARY testhost)
find_package(PkgConfig REQUIRED)
pkg_check_modules(BOTH REQUIRED testboth)
pkg_check_modules(HOST testhost)
include(CheckLibraryExists)
check_library_exists(testhost testhost "" LINKS_HOST)
if(HOST_INCLUDE OR HOST_LIBRARY OR HOST_FOUND OR LINKS_HOST)
  message(FATAL_ERROR "the host's: ${HOST_INCLUDE} ${HOST_LIBRARY} ${HOST_FOUND} ${LINKS_HOST}")
endif()
add_executable(testbs-cmake program.c)
target_include_directories(testbs-cmake PRIVATE ${BOTH_INCLUDE})
target_link_libraries(testbs-cmake ${BOTH_LIBRARY})
install(TARGETS testbs-cmake DESTINATION bin)
"""

MESON = """\
project('testbs', 'c')
cc = meson.get_compiler('c')
both = cc.find_library('testboth', has_headers: 'testboth.h')
both_pc = dependency('testboth', method: 'pkg-config')
foreach found : [
  cc.find_library('testhost', required: false),
  dependency('testhost', required: false, method: 'pkg-config'),
]
  assert(not found.found(), 'a library of the host was found')
endforeach
assert(not cc.has_header('testhost.h'), 'a header of the host was found')
executable('testbs-meson', 'program.c', dependencies: [both, both_pc], install: true)
"""

CONFIGURE_AC = """\
AC_INIT([testbs], [1])
AC_CONFIG_SRCDIR([program.c])
AC_PROG_CC
AC_CHECK_HEADER([testboth.h], [], [AC_MSG_ERROR([the prefix has a header])])
AC_CHECK_LIB([testboth], [testboth], [], [AC_MSG_ERROR([the prefix has a library])])
AC_CHECK_HEADER([testhost.h], [AC_MSG_ERROR([a header of the host was found])])
AC_CHECK_LIB([testhost], [testhost], [AC_MSG_ERROR([a library of the host was found])])
AC_CHECK_FUNC([malloc])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
"""

MAKEFILE_IN = """\
testbs-configure: @srcdir@/program.c
\t@CC@ @CPPFLAGS@ @CFLAGS@ @LDFLAGS@ -o $@ $< @LIBS@
"""

COPY = 'mkdir "${WORKDIR}/src" && cp "${FILESDIR}"/* "${WORKDIR}/src" || die'

PACKAGES = {
    # Like the cmake eclass, but with this program's toolchain file.
    "cmake": f"""
src_unpack() {{ {COPY}; }}
src_configure() {{
	cmake -S src -B build -G Ninja -DCMAKE_INSTALL_PREFIX="${{EPREFIX}}/usr" || die
}}
src_compile() {{ ninja -v -C build || die; }}
src_install() {{ DESTDIR="${{D}}" ninja -C build install || die; }}
""",
    "meson": f"""
src_unpack() {{ {COPY}; }}
src_configure() {{
	meson setup --cross-file="${{FLATCAR_PREFIX_MESON_CROSS}}" --prefix="${{EPREFIX}}/usr" \\
		--bindir=bin src build || die
}}
src_compile() {{ ninja -v -C build || die; }}
src_install() {{ DESTDIR="${{D}}" ninja -C build install || die; }}
""",
    # Like the meson eclass, for an ebuild with another compiler.
    "mesonclass": f"""
src_unpack() {{ {COPY}; }}
src_configure() {{
	sed -i s/testbs-meson/testbs-mesonclass/ src/meson.build || die
	printf '#!/bin/sh\\nexec %s -DCHOSEN "$@"\\n' "${{CC}}" > chosen || die
	chmod +x chosen || die
	cat > own.ini <<-EOF || die
	[binaries]
	c = '${{PWD}}/chosen'
	ar = '$(type -P "${{AR}}")'
	strip = '$(type -P "${{STRIP}}")'
	pkgconfig = '${{PKG_CONFIG}}'
	pkg-config = '${{PKG_CONFIG}}'
	[host_machine]
	system = 'linux'
	cpu_family = 'x86_64'
	cpu = 'x86_64'
	endian = 'little'
	EOF
	meson setup --cross-file own.ini --prefix="${{EPREFIX}}/usr" --bindir=bin src build \\
		${{MYMESONARGS}} || die
}}
src_compile() {{
	ninja -v -C build > ran || die
	cat ran
	grep -q "${{PWD}}/chosen .*program.c" ran || die "another compiler than the ebuild's"
}}
src_install() {{ DESTDIR="${{D}}" ninja -C build install || die; }}
""",
    "configure": f"""
src_unpack() {{ {COPY}; }}
S="${{WORKDIR}}/src"
src_configure() {{
	econf
	grep -A4 'whether we are cross compiling' config.log | grep -q 'result: yes' ||
		die "configure runs what it compiles"
}}
src_compile() {{ emake; }}
src_install() {{ dobin testbs-configure; }}
""",
    "pkgconfig": f"""
src_unpack() {{ {COPY}; }}
src_compile() {{
	local flags
	"${{PKG_CONFIG}}" --exists testhost && die "a .pc file of the host was found"
	PKG_CONFIG_PATH=/usr/lib/pkgconfig "${{PKG_CONFIG}}" --exists testhost && die "by PATH"
	flags=$("${{PKG_CONFIG}}" --cflags --libs testboth) || die
	"${{CC}}" ${{CFLAGS}} ${{LDFLAGS}} -o testbs-pkgconfig src/program.c ${{flags}} \\
		-ltestboth || die
}}
src_install() {{ dobin testbs-pkgconfig; }}
""",
    "bare": f"""
src_unpack() {{ {COPY}; }}
src_compile() {{
	local source
	for source in '#include <testhost.h>' 'int testhost(void); int main() {{ return testhost(); }}'
	do
		echo "${{source}}" > try.c || die
		"${{CC}}" ${{CFLAGS}} ${{LDFLAGS}} -o try try.c -ltesthost && die "found: ${{source}}"
	done
	"${{CC}}" ${{CFLAGS}} ${{LDFLAGS}} -o testbs-bare src/program.c -ltestboth || die
}}
src_install() {{ dobin testbs-bare; }}
""",
}


class Host(NamedTuple):
    """A machine with decoys, and functions that run commands on it."""

    layers: Path

    def run(self, prefix: InUse, *argv: str | Path) -> Run:
        mounts = "".join(
            f'mount -t overlay -o "ro,lowerdir={self.layers}{place}:{place}" decoys {place}\n'
            for place in ("/usr/local/lib", "/usr/local/include", "/usr/include", f"/usr/lib/{TRIPLET}",
                          "/usr/lib/pkgconfig")
            if Path(place).is_dir()
        )  # fmt: skip
        return prefix.machine.run("unshare", "--mount", "sh", "-c", f'set -e\n{mounts}exec "$@"',
                                  "sh", *argv)  # fmt: skip


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Decoys in all library directories of a Debian machine."""
    layers = tmp_path_factory.mktemp("decoys")
    places = (
        ("usr/include", f"usr/lib/{TRIPLET}"),
        ("usr/local/include", "usr/local/lib"),
    )
    for include, libdir in places:
        for name in DECOYS:
            _decoy(layers / include, layers / libdir, name)
    shutil.copytree(layers / f"usr/lib/{TRIPLET}/pkgconfig", layers / "usr/lib/pkgconfig")
    return Host(layers)


def _decoy(include: Path, libdir: Path, name: str) -> None:
    for directory in (include, libdir / "pkgconfig"):
        directory.mkdir(parents=True, exist_ok=True)
    values = {"name": name, "upper": name.upper(), "origin": "host"}
    (include / f"{name}.h").write_text(HEADER.format(**values))
    source = libdir / f"{name}.c"
    source.write_text(SOURCE.format(**values))
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", libdir / f"lib{name}.so", source], check=True)
    source.unlink()
    shutil.copy2(libdir / f"lib{name}.so", libdir / f"lib{name}.so.0")
    seen = {"libdir": "/usr/local/lib", "include": "/usr/local/include"}
    if "local" not in include.parts:
        seen = {"libdir": f"/usr/lib/{TRIPLET}", "include": "/usr/include"}
    (libdir / f"pkgconfig/{name}.pc").write_text(PC.format(name=name, **seen))


@pytest.fixture(scope="module")
def packages(overlay: Overlay) -> list[str]:
    values = {"name": "testboth", "upper": "TESTBOTH", "origin": "prefix"}
    overlay.ebuild("test-bs/library-1", LIBRARY, files={
        "testboth.c": SOURCE.format(**values),
        "testboth.h": HEADER.format(**values),
        "testboth.pc.in": PC.format(name="testboth", libdir="@LIBDIR@", include="@INCLUDE@"),
    })  # fmt: skip
    names = []
    for name, body in PACKAGES.items():
        files = {"program.c": PROGRAM_C}
        if name == "cmake":
            files["CMakeLists.txt"] = CMAKE
        elif name in ("meson", "mesonclass"):
            files["meson.build"] = MESON
        elif name == "configure":
            files |= {"Makefile.in": MAKEFILE_IN, "configure": _configure()}
        names.append(overlay.ebuild(
            f"test-bs/{name}-1", body, files=files, depend="test-bs/library",
            rdepend="test-bs/library",
        ))  # fmt: skip
    for directory in overlay.path.glob("test-bs/configure/files/configure"):
        directory.chmod(0o755)
    return names


def _configure() -> str:
    """Return the configure that autoconf generates; its caches go with the directory."""
    with tempfile.TemporaryDirectory() as directory:
        made = subprocess.run(
            ["autoconf", "-"], input=CONFIGURE_AC, cwd=directory, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
    return made.stdout


@pytest.fixture(scope="module", params=["gcc", "clang"])
def prefix(
    request: pytest.FixtureRequest, shared_machine: Machine, overlay: Overlay, packages: list[str]
) -> InUse:
    """A prefix for each compiler, with the library that is also on the host."""
    if request.param == "gcc":
        made: InUse = request.getfixturevalue("imported_prefix")
    else:
        made = shared_machine.setup(
            "bs-clang", "--bootstrap=import", "--toolchain=host:clang",
            f"--custom_ebuild_overlays={overlay.path}",
        )  # fmt: skip
    made.install("test-bs/library")
    return made


@pytest.mark.parametrize("system", PACKAGES)
def test_the_prefixs_library_is_found_and_the_hosts_is_not(
    prefix: InUse, host: Host, system: str
) -> None:
    built = host.run(prefix, prefix.wrapper("emerge"), f"test-bs/{system}")
    assert built.returncode == 0, built.stdout[-6000:] + built.stderr[-2000:]
    ran = prefix.machine.fp("run", prefix.name, "--", f"testbs-{system}")
    assert ran.stdout == "prefix prefix\n", ran.stderr
    logs = prefix.staging_dir.glob(f"logs/test-bs:{system}-1:*")
    text = max(logs, key=os.path.getmtime).read_text(errors="replace")
    assert "-clang" in text if prefix.name.endswith("clang") else "-clang" not in text


def test_the_decoys_are_such_that_the_machines_own_compiler_finds_them(
    prefix: InUse, host: Host, tmp_path: Path
) -> None:
    """Without this, the tests above would prove nothing."""
    source = tmp_path / "x.c"
    source.write_text(PROGRAM_C)
    build = f"gcc -o {tmp_path}/x {source} $(pkg-config --cflags --libs testboth testhost)"
    said = host.run(prefix, "sh", "-c", f"{build} && {tmp_path}/x")
    assert said.stdout == "host host\n", said.stderr
    build = f"gcc -o {tmp_path}/x {source} -ltestboth -ltesthost"
    assert host.run(prefix, "sh", "-c", build).returncode == 0
