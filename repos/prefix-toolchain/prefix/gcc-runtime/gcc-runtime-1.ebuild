# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

inherit flatcar-prefix-toolchain

DESCRIPTION="Runtime libraries of the compiler that the prefix is built with"
HOMEPAGE="https://gcc.gnu.org/"
S="${WORKDIR}"

LICENSE="GPL-3+ GCC-exception-3.1"
SLOT="0"
KEYWORDS="amd64 arm64"
IUSE="+split-usr"
QA_PRESTRIPPED="usr/lib.*"

# virtual/libc comes after this package, not before: see there.
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

# What gcc links programs to, if they ask for it, in the languages that it is installed
# for. Sanitizers are left out: they look for a debugger's tools outside the prefix.
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
# Die if the libraries want a newer C library than the prefix has: nothing that uses
# them would start.
check_glibc() {
	local libc version
	libc=${ESYSROOT}$(fptc_slibdir)/libc.so.6
	[[ -f ${libc} ]] || die "no C library in the prefix (${libc})"
	for version in $(fptc_glibc_needed "$@"); do
		grep -aqF "${version}" "${libc}" ||
			die "the compiler's libraries need ${version}, the prefix's C library lacks it:" \
				"use an older compiler or --bootstrap=import"
	done
}

src_install() {
	local name path found=()
	for name in "${RUNTIME_LIBRARIES[@]}"; do
		path=$(fptc_find_file "${name}") || continue
		einfo "${name} from ${path}"
		# One file by its soname: the number behind it says nothing that anyone asks for.
		cp -L "${path}" "${T}/${name}" || die
		dolib.so "${T}/${name}"
		dosym "${name}" "/usr/$(get_libdir)/${name%.so.*}.so"
		found+=( "${T}/${name}" )
	done
	[[ -e ${T}/libgcc_s.so.1 ]] || die "$(fptc_cc) has no libgcc_s.so.1"
	check_glibc "${found[@]}"

	# gcc asks for -lgcc_s together with the static half of the library.
	rm "${ED}/usr/$(get_libdir)/libgcc_s.so" || die
	printf 'GROUP ( libgcc_s.so.1 -lgcc )\n' > "${ED}/usr/$(get_libdir)/libgcc_s.so" || die
}
