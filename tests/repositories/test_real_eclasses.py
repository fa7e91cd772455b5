# SPDX-License-Identifier: BSD-3-Clause
"""Packages that use the real eclasses of a checkout of flatcar/scripts build, verify and run.

``FLATCAR_PREFIX_TEST_CHECKOUT`` names the checkout, with an absolute path. The ebuilds are this
project's own; each writes its sources, so nothing is fetched. One emerge builds all of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = os.environ.get("FLATCAR_PREFIX_TEST_CHECKOUT", "")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.by_hand,
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not CHECKOUT, reason="FLATCAR_PREFIX_TEST_CHECKOUT names no checkout"),
]

NAME = "families"
EPREFIX = "/usr/local/families"

HEAD = """\
EAPI=8
{inherit}
DESCRIPTION="A test of an eclass"
HOMEPAGE="https://example.org"
S="${{WORKDIR}}"
LICENSE="MIT"
SLOT="0"
KEYWORDS="amd64 arm64"
"""

UNPACK = """\
src_unpack() {{
{commands}
}}
"""

MAIN = "#include <stdio.h>\nint main(void) { puts(PACKAGE_SAYS); return 0; }\n"
USES = "#include <stdio.h>\nextern const char *says(void);\nint main(void) { puts(says()); return 0; }\n"
SAYS = "const char *says(void) { return PACKAGE_SAYS; }\n"

AUTOCONF = "AC_INIT([{name}], [1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\n"
CONFIG_FILES = "AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n"


@dataclass(frozen=True)
class Package:
    """An ebuild with its sources; it installs the program of its name, which prints its name."""

    name: str
    inherit: str
    files: dict[str, str]
    body: str = ""

    @property
    def missing(self) -> str:
        """A program that the machine lacks and Portage would build, or an empty text."""
        programs = ("autoconf", "automake", "libtoolize") if "autotools" in self.inherit else ()
        return next((name for name in programs if not shutil.which(name)), "")

    @property
    def needs_python(self) -> bool:
        return "python-any-r1" in self.inherit

    @property
    def text(self) -> str:
        commands = "\n".join(
            f"\tmkdir -p \"$(dirname '{path}')\" || die\n\tcat > '{path}' <<'EOF' || die\n"
            f"{content}EOF"
            for path, content in self.files.items()
        )
        inherit = f"inherit {self.inherit}\n" if self.inherit else ""
        return HEAD.format(inherit=inherit) + UNPACK.format(commands=commands) + self.body


def said(name: str, source: str) -> str:
    return source.replace("PACKAGE_SAYS", f'"{name}"')


RECONF = "src_prepare() {\n\tdefault\n\teautoreconf\n}\n"

PYTHON_SCRIPT = (
    'import sys\nprint("#include <stdio.h>\\nint main(void) { puts(\\"" + sys.argv[1] + "\\"); '
    'return 0; }")\n'
)

BY_PYTHON = """\
BDEPEND="${PYTHON_DEPS}"
src_compile() {
	"${EPYTHON}" make.py ${PN} > main.c || die
	$(tc-getCC) ${CFLAGS} ${LDFLAGS} -o ${PN} main.c || die
}
src_install() {
	dobin ${PN}
}
"""

PACKAGES = (
    Package(
        "autotools-program",
        "autotools",
        {
            "configure.ac": AUTOCONF.format(name="autotools-program") + CONFIG_FILES,
            "Makefile.am": "bin_PROGRAMS = autotools-program\nautotools_program_SOURCES = main.c\n",
            "main.c": said("autotools-program", MAIN),
        },
        RECONF,
    ),
    Package(
        "autotools-subdir",
        "autotools",
        {
            "configure.ac": AUTOCONF.format(name="autotools-subdir")
            + "AC_CHECK_HEADERS([unistd.h])\nAC_CONFIG_FILES([Makefile src/Makefile])\nAC_OUTPUT\n",
            "Makefile.am": "SUBDIRS = src\n",
            "src/Makefile.am": "bin_PROGRAMS = autotools-subdir\nautotools_subdir_SOURCES = main.c\n",
            "src/main.c": said("autotools-subdir", MAIN),
        },
        RECONF,
    ),
    Package(
        "libtool-shared",
        "autotools",
        {
            "configure.ac": AUTOCONF.format(name="libtool-shared")
            + "AM_PROG_AR\nLT_INIT\n"
            + CONFIG_FILES,
            "Makefile.am": "lib_LTLIBRARIES = libsays.la\nlibsays_la_SOURCES = says.c\n"
            "bin_PROGRAMS = libtool-shared\nlibtool_shared_SOURCES = main.c\n"
            "libtool_shared_LDADD = libsays.la\n",
            "says.c": said("libtool-shared", SAYS),
            "main.c": USES,
        },
        RECONF + 'src_install() {\n\tdefault\n\tfind "${ED}" -name "*.la" -delete || die\n}\n',
    ),
    Package(
        "libtool-private",
        "autotools libtool",
        {
            "configure.ac": AUTOCONF.format(name="libtool-private")
            + "AM_PROG_AR\nLT_INIT([disable-static])\n"
            + CONFIG_FILES,
            "Makefile.am": "noinst_LTLIBRARIES = libhidden.la\nlibhidden_la_SOURCES = says.c\n"
            "bin_PROGRAMS = libtool-private\nlibtool_private_SOURCES = main.c\n"
            "libtool_private_LDADD = libhidden.la\n",
            "says.c": said("libtool-private", SAYS),
            "main.c": USES,
        },
        "src_prepare() {\n\tdefault\n\teautoreconf\n\telibtoolize\n}\n",
    ),
    Package(
        "cmake-program",
        "cmake",
        {
            "CMakeLists.txt": "cmake_minimum_required(VERSION 3.1)\nproject(x C)\n"
            "add_executable(cmake-program main.c)\ninstall(TARGETS cmake-program)\n",
            "main.c": said("cmake-program", MAIN),
        },
    ),
    Package(
        "cmake-library",
        "cmake",
        {
            "CMakeLists.txt": "cmake_minimum_required(VERSION 3.20)\nproject(x C)\n"
            "include(GNUInstallDirs)\nadd_library(cmakesays SHARED says.c)\n"
            "add_executable(cmake-library main.c)\n"
            "target_link_libraries(cmake-library cmakesays)\n"
            "install(TARGETS cmake-library cmakesays)\n",
            "says.c": said("cmake-library", SAYS),
            "main.c": USES,
        },
    ),
    Package(
        "meson-program",
        "meson",
        {
            "meson.build": "project('x', 'c')\nexecutable('meson-program', 'main.c', install: true)\n",
            "main.c": said("meson-program", MAIN),
        },
    ),
    Package(
        "meson-library",
        "meson",
        {
            "meson.build": "project('x', 'c')\n"
            "says = library('mesonsays', 'says.c', install: true)\n"
            "executable('meson-library', 'main.c', link_with: says, install: true)\n",
            "says.c": said("meson-library", SAYS),
            "main.c": USES,
        },
    ),
    Package(
        "multilib-program",
        "multilib-minimal toolchain-funcs",
        {"main.c": said("multilib-program", MAIN)},
        "multilib_src_compile() {\n"
        '\t$(tc-getCC) ${CFLAGS} ${LDFLAGS} -o ${PN} "${S}"/main.c || die\n}\n'
        "multilib_src_install() {\n\tmultilib_is_native_abi && dobin ${PN}\n}\n",
    ),
    Package(
        "multilib-library",
        "multilib-minimal toolchain-funcs",
        {"says.c": said("multilib-library", SAYS), "main.c": USES},
        "multilib_src_compile() {\n"
        "\t$(tc-getCC) ${CFLAGS} ${LDFLAGS} -fPIC -shared -Wl,-soname,libmlsays.so.1 \\\n"
        '\t\t-o libmlsays.so.1 "${S}"/says.c || die\n'
        '\t$(tc-getCC) ${CFLAGS} ${LDFLAGS} -o ${PN} "${S}"/main.c ./libmlsays.so.1 || die\n}\n'
        "multilib_src_install() {\n\tdolib.so libmlsays.so.1\n"
        "\tmultilib_is_native_abi && dobin ${PN}\n}\n",
    ),
    Package(
        "make-program",
        "toolchain-funcs",
        {
            "Makefile": "all: make-program\ninstall:\n"
            "\tinstall -D make-program $(DESTDIR)$(PREFIX)/bin/make-program\n",
            "make-program.c": said("make-program", MAIN),
        },
        "src_compile() {\n\ttc-export CC\n\temake\n}\n"
        'src_install() {\n\temake DESTDIR="${D}" PREFIX="${EPREFIX}/usr" install\n}\n',
    ),
    Package(
        "make-library",
        "toolchain-funcs",
        {
            "Makefile": "all:\n\t$(CC) $(CFLAGS) $(LDFLAGS) -c says.c\n\t$(AR) rc libsays.a says.o\n"
            "\t$(CC) $(CFLAGS) $(LDFLAGS) -o make-library main.c libsays.a\n",
            "says.c": said("make-library", SAYS),
            "main.c": USES,
        },
        'src_compile() {\n\temake CC="$(tc-getCC)" AR="$(tc-getAR)" CFLAGS="${CFLAGS}"'
        ' LDFLAGS="${LDFLAGS}"\n}\nsrc_install() {\n\tdobin ${PN}\n}\n',
    ),
    Package(
        "python-any",
        "python-any-r1 toolchain-funcs",
        {"make.py": PYTHON_SCRIPT},
        BY_PYTHON,
    ),
    Package(
        "python-any-setup",
        "python-any-r1 toolchain-funcs",
        {"make.py": "import json, sysconfig\n" + PYTHON_SCRIPT},
        "src_configure() {\n\tpython_setup\n}\n" + BY_PYTHON,
    ),
)

PYTHON_COMPAT = "PYTHON_COMPAT=( python3_{11..13} )\n"

ONLY_RESOLVED = {
    "distutils-program": f"{PYTHON_COMPAT}DISTUTILS_USE_PEP517=setuptools\ninherit distutils-r1\n",
    "distutils-flit": f"{PYTHON_COMPAT}DISTUTILS_USE_PEP517=flit\ninherit distutils-r1\n",
    "perl-module": "inherit perl-module\n",
    "perl-build": 'inherit perl-module\nBDEPEND="dev-perl/Module-Build"\n',
}
"""Packages of eclasses whose interpreter takes too long to build in a test."""


def write(overlay: Path, name: str, text: str) -> None:
    package = overlay / "test-eclass" / name
    package.mkdir(parents=True)
    (package / f"{name}-1.ebuild").write_text(text)


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("overlay") / "families"
    for name, text in {
        "profiles/repo_name": "families\n",
        "profiles/categories": "test-eclass\n",
        "metadata/layout.conf": f"masters = {main_repository()}\nthin-manifests = true\n",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    for package in PACKAGES:
        text = package.text
        if package.needs_python:
            text = text.replace("inherit ", f"{PYTHON_COMPAT}inherit ", 1)
        write(place, package.name, text)
    for name, inherit in ONLY_RESOLVED.items():
        write(place, name, HEAD.format(inherit=inherit))
    return place


def main_repository() -> str:
    from flatcar_prefix.repositories import find

    return find.find(Path(CHECKOUT))[1]


@dataclass(frozen=True)
class Built:
    """The prefix, and what emerge printed."""

    environment: dict[str, str]
    text: str
    shown: dict[str, dict[str, str]]
    atoms: tuple[str, ...] = ()
    """The packages that emerge was asked for."""

    def emerge(self, *words: str) -> subprocess.CompletedProcess[str]:
        wrapper = f"{self.environment['FLATCAR_PREFIX_WRAPPER_DIR']}/emerge-prefix-{NAME}"
        return subprocess.run(
            [wrapper, *words], env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=3600,
        )  # fmt: skip

    def builds_python(self, name: str) -> bool:
        """Return whether emerge would build a Python for this package, which takes too long."""
        done = self.emerge("--stage", "--pretend", "--color=n", f"test-eclass/{name}")
        return " dev-lang/python-" in done.stdout

    def fp(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(self.environment, *words)

    def installed(self, name: str) -> bool:
        vdb = Path(self.shown["final"]["root"] + EPREFIX) / "var/db/pkg/test-eclass"
        return (vdb / f"{name}-1").is_dir()


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flatcar_prefix", *words],
        env=environment, capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory, overlay: Path) -> Built:
    """A prefix of the checkout; the cache of metadata is the machine's, because it takes long."""
    base = tmp_path_factory.mktemp("families")
    places = {
        f"FLATCAR_PREFIX_{name}_DIR": str(base / name.lower())
        for name in ("BUILD", "STATE", "WRAPPER", "FINAL")
    }
    environment = {**os.environ, **places}
    done = run(
        environment, "setup", "--bootstrap=import", "--toolchain=host", "--scripts-dir", CHECKOUT,
        f"--custom-ebuild-overlays={overlay}", NAME, EPREFIX,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Built(environment, "", json.loads(run(environment, "show", NAME, "--json").stdout))


@pytest.fixture(scope="module")
def built(prefix: Built) -> Built:
    """The prefix with the packages that need no further build tool than the machine's."""
    atoms = [
        f"test-eclass/{package.name}"
        for package in PACKAGES
        if not package.missing and not (package.needs_python and prefix.builds_python(package.name))
    ]
    done = prefix.emerge("--oneshot", "--keep-going", "--quiet-build=y", "--color=n", *atoms)
    return Built(prefix.environment, done.stdout, prefix.shown, tuple(atoms))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_of_each_family_builds_verifies_and_runs(built: Built, package: Package) -> None:
    if package.missing:
        pytest.skip(f"this machine has no {package.missing}")
    if f"test-eclass/{package.name}" not in built.atoms:
        pytest.skip("the eclasses of this checkout do not support this machine's Python")
    assert built.installed(package.name), built.text[-4000:]
    done = built.fp("run", NAME, "--", f"{EPREFIX}/usr/bin/{package.name}")
    assert (done.stdout, done.returncode) == (f"{package.name}\n", 0), done.stderr


def test_the_audit_finds_no_error_in_them(built: Built) -> None:
    assert any(built.installed(package.name) for package in PACKAGES), built.text[-4000:]
    report = json.loads(built.fp("verify", NAME, "--json").stdout)
    found = [
        finding
        for finding in report["findings"]
        if finding["level"] == "error" and "test-eclass" in (finding["package"] or "")
    ]
    assert found == []


@pytest.mark.parametrize("name", ONLY_RESOLVED)
def test_packages_of_an_interpreter_resolve(prefix: Built, name: str) -> None:
    done = prefix.emerge("--pretend", f"test-eclass/{name}")
    assert done.returncode == 0, done.stdout[-3000:]
