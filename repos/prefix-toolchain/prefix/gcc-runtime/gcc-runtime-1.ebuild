# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

inherit flatcar-prefix-toolchain

DESCRIPTION="Runtime libraries of the prefix's compiler"
HOMEPAGE="https://gcc.gnu.org/"
S="${WORKDIR}"

LICENSE="GPL-3+ GCC-exception-3.1"
SLOT="0"
KEYWORDS="amd64 arm64"
IUSE="+split-usr"
QA_PRESTRIPPED="usr/lib.*"

# virtual/libc depends on this package, so this one does not depend on virtual/libc.
DEPEND="
	|| (
		sys-libs/glibc:2.2
		prefix/imported-libc
	)
"
RDEPEND="
	${DEPEND}
	sys-apps/baselayout
"

# The libraries that gcc links programs with, for its installed languages. Sanitizers are left
# out, because they search for a debugger's tools outside the prefix.
RUNTIME_LIBRARIES=(
	libgcc_s.so.1
	libstdc++.so.6
	libatomic.so.1
	libgfortran.so.5
	libgomp.so.1
	libitm.so.1
	libobjc.so.4
	libquadmath.so.0
	libssp.so.0
)

# @FUNCTION: check_glibc
# @USAGE: <ELF file>...
# @DESCRIPTION:
# Die if the libraries need a newer C library than the prefix has, because programs that use
# them would not start.
check_glibc() {
	local libc version
	libc=${ESYSROOT}$(fptc_slibdir)/libc.so.6
	[[ -f ${libc} ]] || die "no C library in the prefix (${libc})"
	for version in $(fptc_glibc_needed "$@"); do
		grep -aqF "${version}" "${libc}" ||
			die "the compiler's libraries need ${version}, but the prefix's C library lacks it:" \
				"use an older compiler or --bootstrap=import"
	done
}

src_install() {
	local name path found=()
	for name in "${RUNTIME_LIBRARIES[@]}"; do
		path=$(fptc_find_file "${name}") || continue
		einfo "${name} from ${path}"
		# Install one file, called by its soname; nothing uses the name with the full version.
		cp -L "${path}" "${T}/${name}" || die
		dolib.so "${T}/${name}"
		dosym "${name}" "/usr/$(get_libdir)/${name%.so.*}.so"
		found+=( "${T}/${name}" )
	done
	[[ -e ${T}/libgcc_s.so.1 ]] || die "$(fptc_cc) has no libgcc_s.so.1"
	check_glibc "${found[@]}"

	# libgcc_s.so needs the static part of the library, too.
	rm "${ED}/usr/$(get_libdir)/libgcc_s.so" || die
	printf 'GROUP ( libgcc_s.so.1 -lgcc )\n' > "${ED}/usr/$(get_libdir)/libgcc_s.so" || die
}
