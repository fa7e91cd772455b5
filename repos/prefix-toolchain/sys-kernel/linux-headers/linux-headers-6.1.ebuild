# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

inherit flatcar-prefix-toolchain

DESCRIPTION="Linux's headers for programs, taken from the toolchain"
HOMEPAGE="https://www.kernel.org/"
S="${WORKDIR}"

LICENSE="GPL-2"
SLOT="0"
KEYWORDS="amd64 arm64"

# The ebuild copies the toolchain's headers and has no SRC_URI. The C library and all programs
# need the kernel interface in the compiler's own headers, and no source package that every
# build machine can fetch contains the kernel's release tarball. The headers can be newer than
# this ebuild's version; the ebuild rejects older ones.

# The directories that "make headers_install" writes and other packages do not use.
LINUX_HEADER_DIRS=( asm asm-generic linux misc mtd rdma sound video xen )

# @FUNCTION: find_headers
# @DESCRIPTION:
# Print the headers as "<include directory> <path below it>". If a package owns them, print
# that package's headers only, because other packages add files to the same directories.
find_headers() {
	local owner=$1 asm=$2 path
	local -a files
	if mapfile -t files < <(fptc_package_files "${owner}/linux/version.h") && (( ${#files[@]} )); then
		for path in "${files[@]}"; do
			[[ ${path} == *.h && -f ${path} ]] || continue
			case ${path} in
				"${asm}"/asm/*) echo "${asm} ${path#"${asm}/"}" ;;
				"${owner}"/*) echo "${owner} ${path#"${owner}/"}" ;;
			esac
		done
		return
	fi
	local dir
	for dir in "${LINUX_HEADER_DIRS[@]}"; do
		local base=${owner}
		[[ ${dir} == asm ]] && base=${asm}
		[[ -d ${base}/${dir} ]] || continue
		find -L "${base}/${dir}" -name '*.h' -printf "${base} ${dir}/%P\n" || die
	done
}

src_install() {
	local include asm base path version
	include=$(fptc_find_header linux/version.h) ||
		die "$(fptc_cc) finds no linux/version.h: install the kernel headers of the toolchain"
	asm=$(fptc_find_header asm/unistd.h) || die "$(fptc_cc) finds no asm/unistd.h"

	version=$(awk '/LINUX_VERSION_CODE/ { print int($3 / 65536) "." int($3 / 256) % 256 }' \
		"${include}"/linux/version.h) || die
	ver_test "${version}" -ge "${PV}" ||
		die "the toolchain has the headers of Linux ${version}; ${PV} or newer is required"
	einfo "Linux ${version}, from ${include}"

	while read -r base path; do
		mkdir -p "${ED}/usr/include/${path%/*}" || die
		cp -L "${base}/${path}" "${ED}/usr/include/${path}" || die
	done < <(find_headers "${include}" "${asm}")

	[[ -f ${ED}/usr/include/asm/unistd.h && -f ${ED}/usr/include/linux/version.h ]] ||
		die "incomplete set of kernel headers in ${include}"
	find "${ED}" -type f -exec chmod 0644 {} + || die
}
