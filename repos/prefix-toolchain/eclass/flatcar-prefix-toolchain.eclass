# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

# @ECLASS: flatcar-prefix-toolchain.eclass
# @MAINTAINER:
# The flatcar-prefix authors
# @SUPPORTED_EAPIS: 8
# @BLURB: the toolchain's compiler, for packages that bootstrap a prefix
# @DESCRIPTION:
# ${CHOST}-gcc compiles ordinary packages. It is a wrapper that searches for headers and
# libraries in the prefix. The packages that install these (the C library, the kernel's
# headers, gcc's runtime) cannot use it; they use the wrapped compiler. The prefix's make.conf
# sets FLATCAR_PREFIX_TOOLCHAIN_{CC,CXX,SYSROOT} for that compiler, and FLATCAR_PREFIX_LOADER
# to the path of the dynamic loader.

case ${EAPI} in
	8) ;;
	*) die "${ECLASS}: EAPI ${EAPI:-0} not supported" ;;
esac

if [[ -z ${_FLATCAR_PREFIX_TOOLCHAIN_ECLASS} ]]; then
_FLATCAR_PREFIX_TOOLCHAIN_ECLASS=1

# @FUNCTION: fptc_cc
# @DESCRIPTION:
# Print the toolchain's own C compiler with its sysroot, as a value of CC.
fptc_cc() {
	local cc=${FLATCAR_PREFIX_TOOLCHAIN_CC:-${CHOST}-gcc}
	echo "${cc}${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT:+ --sysroot=${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT}}"
}

# @FUNCTION: fptc_cxx
# @DESCRIPTION:
# Print the toolchain's own C++ compiler with its sysroot, as a value of CXX.
fptc_cxx() {
	local cxx=${FLATCAR_PREFIX_TOOLCHAIN_CXX:-${CHOST}-g++}
	echo "${cxx}${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT:+ --sysroot=${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT}}"
}

# @FUNCTION: fptc_sysroot_directories
# @DESCRIPTION:
# Print the library directories of the toolchain's sysroot. gcc's directories come last, the
# compiler's own version first among them. Print nothing if the toolchain has no sysroot.
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
# Print the absolute path of a library or object file of the toolchain. Return 1 if there is
# none. A file of the sysroot takes precedence. gcc would first search next to itself, where a
# cross compiler has the libraries of the SDK, not those of the board.
fptc_find_file() {
	local cc path dir
	while read -r dir; do
		[[ -e ${dir}/$1 ]] || continue
		realpath -s -- "${dir}/$1"
		return
	done < <(fptc_sysroot_directories)
	read -r -a cc <<<"$(fptc_cc)"
	# gcc prints the bare name of a file that it does not find.
	path=$("${cc[@]}" -print-file-name="$1") || return 1
	[[ ${path} == /* && -e ${path} ]] || return 1
	realpath -s -- "${path}"
}

# @FUNCTION: fptc_find_header
# @USAGE: <header>
# @DESCRIPTION:
# Print the include directory in which the toolchain finds a header, such as /usr/include
# for linux/version.h. Return 1 if there is none.
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
# Print all paths of the distribution's package that owns a file of the toolchain. Return 1 if
# dpkg is missing or does not know the file; the caller then uses its own list of files.
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
# Print the directory of essential libraries, without EPREFIX: lib64, or usr/lib64 if lib64 is
# a symlink to it.
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
# Remove the directories from linker scripts such as libc.so. ld prepends the sysroot to an
# absolute path, and the sysroot already ends in EPREFIX. ld searches for a bare name in the -L
# directories. Other files do not change.
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
# Print the GLIBC_x.y versions that ELF files require, one per line, oldest first.
fptc_glibc_needed() {
	local file
	for file; do
		LC_ALL=C "${READELF:-${CHOST}-readelf}" --version-info --wide "${file}" 2>/dev/null |
			sed -n '/needs section/,$s/.*Name: \(GLIBC_[0-9.]*\).*/\1/p'
	done | sort -u -V
}

fi
