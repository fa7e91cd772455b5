# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

# @ECLASS: flatcar-prefix-toolchain.eclass
# @MAINTAINER:
# The flatcar-prefix authors
# @SUPPORTED_EAPIS: 8
# @BLURB: the compiler a prefix is bootstrapped with, before it has libraries of its own
# @DESCRIPTION:
# Ordinary packages are compiled by ${CHOST}-gcc, a wrapper that looks for headers and
# libraries in the prefix. The packages that put those there (the C library, the kernel's
# headers, gcc's runtime) cannot use it: they take the compiler that it wraps. The
# prefix's make.conf names that compiler in FLATCAR_PREFIX_TOOLCHAIN_{CC,CXX,SYSROOT} and
# the place of the dynamic loader in FLATCAR_PREFIX_LOADER.

case ${EAPI} in
	8) ;;
	*) die "${ECLASS}: EAPI ${EAPI:-0} not supported" ;;
esac

if [[ -z ${_FLATCAR_PREFIX_TOOLCHAIN_ECLASS} ]]; then
_FLATCAR_PREFIX_TOOLCHAIN_ECLASS=1

# @FUNCTION: fptc_cc
# @DESCRIPTION:
# Print the toolchain's own C compiler with its sysroot, ready to stand in CC.
fptc_cc() {
	local cc=${FLATCAR_PREFIX_TOOLCHAIN_CC:-${CHOST}-gcc}
	echo "${cc}${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT:+ --sysroot=${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT}}"
}

# @FUNCTION: fptc_cxx
# @DESCRIPTION:
# Print the toolchain's own C++ compiler with its sysroot, ready to stand in CXX.
fptc_cxx() {
	local cxx=${FLATCAR_PREFIX_TOOLCHAIN_CXX:-${CHOST}-g++}
	echo "${cxx}${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT:+ --sysroot=${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT}}"
}

# @FUNCTION: fptc_sysroot_directories
# @DESCRIPTION:
# Print the directories of the toolchain's sysroot that may hold libraries, those of gcc
# last, the compiler's version before newer ones. Nothing where the toolchain has no sysroot.
fptc_sysroot_directories() {
	local sysroot=${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT} dir version cc
	[[ -n ${sysroot} ]] || return 0
	for dir in "$(get_libdir)" "${FLATCAR_PREFIX_TOOLCHAIN_LIBDIR:-lib}"; do
		printf '%s\n' "${sysroot}/${dir}" "${sysroot}/usr/${dir}"
	done
	read -r -a cc <<<"$(fptc_cc)"
	version=$("${cc[@]}" -dumpversion) || return
	printf '%s\n' "${sysroot}/usr/lib/gcc/${CHOST}"/{*,"${version}"} | sort -u -V |
		awk -v own="${version}" -F / '$NF == own { wanted = 1 } wanted'
}

# @FUNCTION: fptc_find_file
# @USAGE: <file>
# @DESCRIPTION:
# Print the absolute path of a library or object file of the toolchain. Return 1 where it
# has none. The sysroot's own comes first: gcc looks beside itself before, where a cross
# compiler has the libraries of the SDK and not those of the board.
fptc_find_file() {
	local cc path dir
	while read -r dir; do
		[[ -e ${dir}/$1 ]] || continue
		realpath -s -- "${dir}/$1"
		return
	done < <(fptc_sysroot_directories)
	read -r -a cc <<<"$(fptc_cc)"
	# gcc prints the bare name of what it does not find.
	path=$("${cc[@]}" -print-file-name="$1") || return 1
	[[ ${path} == /* && -e ${path} ]] || return 1
	realpath -s -- "${path}"
}

# @FUNCTION: fptc_find_header
# @USAGE: <header>
# @DESCRIPTION:
# Print the include directory in which the toolchain finds a header, such as /usr/include
# for linux/version.h. Return 1 where it has none.
fptc_find_header() {
	local cc line path
	read -r -a cc <<<"$(fptc_cc)"
	# The preprocessor names each file that it enters: # 1 "/usr/include/..." 1 3
	while read -r line; do
		[[ ${line} == '# 1 "'*"/$1\""* ]] || continue
		path=${line#'# 1 "'}
		path=$(realpath -s -- "${path%%\"*}") || return 1
		echo "${path%"/$1"}"
		return 0
	done < <("${cc[@]}" -E -x c - <<<"#include <$1>" 2>/dev/null)
	return 1
}

# @FUNCTION: fptc_package_files
# @USAGE: <file>
# @DESCRIPTION:
# Print every path of the distribution's package that owns a file of the toolchain.
# Return 1 where dpkg is missing or does not know the file; the caller then falls back to
# what such a package is known to hold.
fptc_package_files() {
	local owner
	type -P dpkg-query >/dev/null || return 1
	owner=$(dpkg-query --search "$1" 2>/dev/null | head -n 1) || return 1
	owner=${owner%%: *}
	[[ -n ${owner} && ${owner} != *,* && ${owner} != diversion* ]] || return 1
	dpkg-query --listfiles "${owner}"
}

# @FUNCTION: fptc_loader
# @DESCRIPTION:
# Print the path of the dynamic loader inside the prefix, without EPREFIX.
fptc_loader() {
	if [[ -n ${FLATCAR_PREFIX_LOADER} ]]; then
		echo "/${FLATCAR_PREFIX_LOADER#/}"
		return
	fi
	case ${ARCH} in
		amd64) echo /lib64/ld-linux-x86-64.so.2 ;;
		arm64) echo /lib/ld-linux-aarch64.so.1 ;;
		*) die "no loader known for ARCH=${ARCH}" ;;
	esac
}

# @FUNCTION: fptc_slibdir
# @DESCRIPTION:
# Print the directory of the libraries that / needs, without EPREFIX: lib64, or usr/lib64
# where lib64 is a symlink to it.
fptc_slibdir() {
	if use split-usr; then
		echo "/$(get_libdir)"
	else
		echo "/usr/$(get_libdir)"
	fi
}

# @FUNCTION: fptc_relative_ldscript
# @USAGE: <file>...
# @DESCRIPTION:
# Take the directories out of linker scripts such as libc.so. ld puts the sysroot in front
# of an absolute path, and the sysroot already ends in EPREFIX; a bare name is looked for
# where -L points. Files that are no linker scripts are left alone.
fptc_relative_ldscript() {
	local file
	for file; do
		[[ -f ${file} && ! -L ${file} ]] || continue
		head -c 64 "${file}" | grep -aq 'GNU ld script' || continue
		sed -i -E '/^(GROUP|INPUT)/s,[^[:space:](]*/([^/[:space:])]+),\1,g' "${file}" || die
	done
}

# @FUNCTION: fptc_glibc_needed
# @USAGE: <ELF file>...
# @DESCRIPTION:
# Print the GLIBC_x.y versions that ELF files ask for, one a line, oldest first.
fptc_glibc_needed() {
	local file
	for file; do
		LC_ALL=C "${READELF:-${CHOST}-readelf}" --version-info --wide "${file}" 2>/dev/null |
			sed -n '/needs section/,$s/.*Name: \(GLIBC_[0-9.]*\).*/\1/p'
	done | sort -u -V
}

fi
