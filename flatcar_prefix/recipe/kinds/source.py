# SPDX-License-Identifier: BSD-3-Clause
"""``kind = "source"``: a tarball or directory with a build system."""

from __future__ import annotations

import shlex
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.recipe.distfiles import bring
from flatcar_prefix.recipe.kinds.common import CATEGORY, Place, head, nofetch
from flatcar_prefix.recipe.model import Software
from flatcar_prefix.recipe.overlay import Package

MARKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cargo": ("Cargo.toml",),
        "go": ("go.mod",),
        "meson": ("meson.build",),
        "cmake": ("CMakeLists.txt",),
        "autotools": ("configure", "configure.ac"),
        "make": ("Makefile", "GNUmakefile", "makefile"),
    }
)
"""The file at the top of a source that identifies each build system, in order of precedence."""

_AUTOTOOLS = """
src_prepare() {
	default
	[[ -x configure ]] || autoreconf -fi || die
}

src_configure() {
	econf@OPTIONS@
}
"""

_CMAKE = """
# make.conf sets CMAKE_TOOLCHAIN_FILE, which names the prefix's compiler and libraries.
src_configure() {
	cmake -S . -B "${WORKDIR}/build" \\
		-DCMAKE_BUILD_TYPE=Release \\
		-DCMAKE_INSTALL_PREFIX="${EPREFIX}/usr" \\
		-DCMAKE_INSTALL_LIBDIR="$(get_libdir)" \\
		-DCMAKE_SKIP_RPATH=ON@OPTIONS@ || die
}

src_compile() {
	cmake --build "${WORKDIR}/build" --verbose --parallel "$(nproc)" || die
}

src_install() {
	DESTDIR="${D}" cmake --install "${WORKDIR}/build" || die
	einstalldocs
}
"""

_MESON = """
# make.conf sets FLATCAR_PREFIX_MESON_CROSS: the prefix's compiler and libraries.
src_configure() {
	meson setup "${WORKDIR}/build" . \\
		--cross-file "${FLATCAR_PREFIX_MESON_CROSS}" \\
		--buildtype plain \\
		--prefix "${EPREFIX}/usr" \\
		--libdir "$(get_libdir)"@OPTIONS@ || die
}

src_compile() {
	meson compile -C "${WORKDIR}/build" -v || die
}

src_install() {
	DESTDIR="${D}" meson install -C "${WORKDIR}/build" --no-rebuild || die
	einstalldocs
}
"""

_MAKE = """
src_compile() {
	emake CC="${CC}" CXX="${CXX}" AR="${AR}" CFLAGS="${CFLAGS} ${CPPFLAGS}" LDFLAGS="${LDFLAGS}" \\
		PREFIX="${EPREFIX}/usr" prefix="${EPREFIX}/usr"@OPTIONS@
}

src_install() {
	emake CC="${CC}" CXX="${CXX}" AR="${AR}" CFLAGS="${CFLAGS} ${CPPFLAGS}" LDFLAGS="${LDFLAGS}" \\
		DESTDIR="${D}" PREFIX="${EPREFIX}/usr" prefix="${EPREFIX}/usr"@OPTIONS@ install
	einstalldocs
}
"""

_CARGO = """
# Cargo fetches the crates of Cargo.lock, and verifies them.
src_compile() {
	local target
	case ${ARCH} in
		amd64) target=x86_64-unknown-linux-gnu ;;
		arm64) target=aarch64-unknown-linux-gnu ;;
	esac
	local -x CARGO_HOME=${T}/cargo CARGO_TARGET_DIR=${WORKDIR}/target CARGO_BUILD_TARGET=${target}
	# Portage sets HOME, where rustup would look for its toolchains.
	local home
	home=$(getent passwd "$(id -un)" | cut -d: -f6)
	local -x RUSTUP_HOME=${RUSTUP_HOME:-${home}/.rustup}
	local flag
	local -x RUSTFLAGS="-C linker=${CC}"
	for flag in ${LDFLAGS}; do RUSTFLAGS+=" -C link-arg=${flag}"; done
	cargo build --release --locked@OPTIONS@ || die
}

src_install() {
	local file
	for file in @PROGRAMS@; do
		file="${WORKDIR}/target/${CHOST%%-*}-unknown-linux-gnu/release/${file}"
		[[ -f ${file} ]] || die "cargo did not build ${file}"
		dobin "${file}"
	done
	einstalldocs
}
"""

_GO = """
# Go fetches the modules of go.mod, and verifies them with go.sum.
src_compile() {
	local -x CGO_ENABLED=0 GOARCH=${ARCH} GOPATH=${T}/go GOCACHE=${T}/go-build GOFLAGS=-modcacherw
	mkdir "${WORKDIR}/programs" || die
	go build -trimpath -o "${WORKDIR}/programs/"@OPTIONS@ @PROGRAMS@ || die
}

src_install() {
	dobin "${WORKDIR}"/programs/*
	einstalldocs
}
"""

PHASES: Mapping[str, str] = MappingProxyType(
    {
        "autotools": _AUTOTOOLS,
        "cmake": _CMAKE,
        "meson": _MESON,
        "make": _MAKE,
        "cargo": _CARGO,
        "go": _GO,
    }
)

NEEDS_NETWORK = ("cargo", "go")


def package(software: Software, place: Place) -> Package:
    """Return the package of a source."""
    file = bring(software, place.board, place.prefix.distdir, place.say)
    if not file.is_archive:
        raise software.error(
            "source",
            "is not a tarball, zip file or directory",
            hint="Give one of these, or use kind binary.",
        )
    try:
        directory, names = top(file.path)
    except PrefixError as error:
        raise software.error("source", str(error), hint=error.hint) from error
    system = software.text("build") or _build_system(software, names)
    depends = [] if place.prefix.bootstrap == "none" else ["virtual/libc"]
    ebuild = (
        head(
            software,
            distfiles=[file],
            origin=f"SHA-256 {file.sha256}",
            restrict=("test", *(("network-sandbox",) if system in NEEDS_NETWORK else ())),
            depend=(*depends, *software.words("build-depends")),
            rdepend=(*depends, *software.words("build-depends"), *software.words("depends")),
            more=f'S="${{WORKDIR}}/{directory}"\n' if directory else "",
        )
        + nofetch([file])
        + phases(
            system,
            options=software.words("options"),
            program=software.name,
            programs=software.words("programs"),
        )
    )
    return Package(CATEGORY, software.name, software.version, ebuild, (file,))


def phases(
    system: str, *, options: Sequence[str] = (), program: str, programs: Sequence[str] = ()
) -> str:
    """Return the phases of an ebuild for a build system."""
    words = "".join(f" \\\n\t\t{shlex.quote(word)}" for word in options)
    default = {"go": "./...", "cargo": program}.get(system, "")
    built = " ".join(map(shlex.quote, programs)) or default
    return PHASES[system].replace("@OPTIONS@", words).replace("@PROGRAMS@", built)


def top(file: Path) -> tuple[str, list[str]]:
    """Return the only directory at the top of an archive, if it has only one, and its names.

    Raise :class:`PrefixError` for a file that is not an archive.
    """
    names = members(file)
    tops = {PurePosixPath(name).parts[0] for name in names if PurePosixPath(name).parts}
    if len(tops) != 1 or not any("/" in name.rstrip("/") for name in names):
        return "", names
    first = tops.pop()
    return first, [name.removeprefix(f"{first}/") for name in names]


def members(file: Path) -> list[str]:
    """Return the paths in an archive, without ``./``.

    Raise :class:`PrefixError` for a file that is not an archive.
    """
    try:
        return _members(file)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise PrefixError(
            f"{file.name} cannot be unpacked: {error}", hint="Give a tar or zip file."
        ) from error


def _members(file: Path) -> list[str]:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    if file.suffix in (".zst", ".lz"):
        raise PrefixError(
            f"{file.name} cannot be read here", hint="Repack it with gzip, bzip2 or xz."
        )
    with tarfile.open(file) as packed:
        return [name.removeprefix("./") for name in packed.getnames()]


def system_of(names: Sequence[str]) -> str:
    """Return the build system whose files are among ``names``; empty without one."""
    for system, marks in MARKS.items():
        if any(mark in names for mark in marks):
            return system
    return ""


def _build_system(software: Software, names: Sequence[str]) -> str:
    if system := system_of(names):
        return system
    known = ", ".join(mark for marks in MARKS.values() for mark in marks)
    raise software.error(
        "build",
        f"is missing, and the source has none of {known}",
        hint=f"Name one of: {', '.join(MARKS)}.",
    )
