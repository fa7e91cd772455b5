# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

inherit flatcar-prefix-toolchain

DESCRIPTION="The toolchain's own C library, copied into the prefix"
HOMEPAGE="https://www.gnu.org/software/libc/"
S="${WORKDIR}"

LICENSE="LGPL-2.1+ GPL-2+ BSD"
SLOT="0"
KEYWORDS="amd64 arm64"
IUSE="+split-usr"
# The distribution has stripped the files.
RESTRICT="strip"

DEPEND="virtual/os-headers"
RDEPEND="sys-apps/baselayout
	!sys-libs/glibc"

# For trials and tests: the installation takes seconds, not minutes. The library is configured
# for its own machine, not for the prefix. It differs from sys-libs/glibc as follows:
# - The loader searches the machine's directories after the program's own search path, so the
#   prefix's compiler wrapper gives every program an RPATH.
# - The library searches the machine for locales and gconv modules. UTF-8 and the C locale
#   need neither.
# - The loader reads the machine's /etc/ld.so.preload and /etc/ld.so.cache.

# Sonames of glibc since 2.34, except the loader.
LIBC_LIBRARIES=(
	libBrokenLocale.so.1
	libanl.so.1
	libc.so.6
	libc_malloc_debug.so.0
	libdl.so.2
	libm.so.6
	libmvec.so.1
	libnsl.so.1
	libnss_compat.so.2
	libnss_dns.so.2
	libnss_files.so.2
	libnss_hesiod.so.2
	libpthread.so.0
	libresolv.so.2
	librt.so.1
	libthread_db.so.1
	libutil.so.1
)

# Files for linking programs.
LIBC_OBJECTS=(
	{,M,S,g,gr,r}crt1.o crti.o crtn.o
	libc.so libm.so libc_nonshared.a
	lib{BrokenLocale,anl,c,dl,g,m,mcheck,mvec,pthread,resolv,rt,util}.a
	# libm.a is a linker script that names this one.
	"libm-${FLATCAR_PREFIX_TOOLCHAIN_LIBC}.a"
)

# The headers of glibc, for a toolchain that does not belong to a package.
LIBC_HEADERS=(
	aio.h aliases.h alloca.h ar.h argp.h argz.h arpa assert.h bits byteswap.h complex.h
	cpio.h ctype.h dirent.h dlfcn.h elf.h endian.h envz.h err.h errno.h error.h execinfo.h
	fcntl.h features.h features-time64.h fenv.h finclude fmtmsg.h fnmatch.h fpu_control.h
	fstab.h fts.h ftw.h gconv.h getopt.h glob.h gnu gnu-versions.h grp.h gshadow.h iconv.h
	ieee754.h ifaddrs.h inttypes.h langinfo.h lastlog.h libgen.h libintl.h limits.h link.h
	locale.h malloc.h math.h mcheck.h memory.h mntent.h monetary.h mqueue.h net netash
	netatalk netax25 netdb.h neteconet netinet netipx netiucv netpacket netrom netrose nfs
	nl_types.h nss.h obstack.h paths.h poll.h printf.h proc_service.h protocols pthread.h
	pty.h pwd.h re_comp.h regex.h regexp.h resolv.h rpc sched.h scsi search.h semaphore.h
	setjmp.h sgtty.h shadow.h signal.h spawn.h stab.h stdc-predef.h stdint.h stdio.h
	stdio_ext.h stdlib.h string.h strings.h sys syscall.h sysexits.h syslog.h tar.h
	termio.h termios.h tgmath.h thread_db.h threads.h time.h ttyent.h uchar.h ucontext.h
	ulimit.h unistd.h utime.h utmp.h utmpx.h values.h wait.h wchar.h wctype.h wordexp.h
)

# @FUNCTION: find_headers
# @USAGE: <include directory>...
# @DESCRIPTION:
# Print the headers as "<include directory> <path below it>". A directory that depends on
# the architecture (multiarch) comes first.
find_headers() {
	local -a files
	local path dir
	if mapfile -t files < <(fptc_package_files "${!#}/stdlib.h") && (( ${#files[@]} )); then
		for path in "${files[@]}"; do
			[[ -f ${path} ]] || continue
			for dir; do
				[[ ${path} == "${dir}"/* ]] || continue
				echo "${dir} ${path#"${dir}/"}"
				break
			done
		done
		return
	fi
	for dir; do
		for path in "${LIBC_HEADERS[@]}"; do
			[[ -e ${dir}/${path} ]] || continue
			( cd "${dir}" && find -L "${path}" -name '*.h' -printf "${dir} %p\n" ) || die
		done
	done
}

src_install() {
	local loader=$(fptc_loader) libdir=$(fptc_slibdir) name path
	local multiarch include dir
	into /

	path=$(fptc_find_file "${loader##*/}") || path=${FLATCAR_PREFIX_TOOLCHAIN_SYSROOT}${loader}
	[[ -f ${path} ]] || die "$(fptc_cc) has no ${loader##*/}"
	use split-usr || loader=/usr${loader}
	exeinto "${loader%/*}"
	cp -L "${path}" "${T}/${loader##*/}" || die
	doexe "${T}/${loader##*/}"

	exeinto "${libdir}"
	for name in "${LIBC_LIBRARIES[@]}"; do
		path=$(fptc_find_file "${name}") || continue
		cp -L "${path}" "${T}/${name}" || die
		doexe "${T}/${name}"
		case ${name} in
			libc.so.6|libdl.so.2|libm.so.6|libpthread.so.0|librt.so.1|libutil.so.1) continue ;;
			libnss_dns.so.2|libnss_files.so.2|libnsl.so.1) continue ;;
		esac
		if use split-usr; then
			dosym "../..${libdir}/${name}" "/usr/$(get_libdir)/${name%.so.*}.so"
		else
			dosym "${name}" "/usr/$(get_libdir)/${name%.so.*}.so"
		fi
	done
	[[ -e ${ED}${libdir}/libc.so.6 ]] || die "$(fptc_cc) has no libc.so.6"

	insinto "/usr/$(get_libdir)"
	for name in "${LIBC_OBJECTS[@]}"; do
		path=$(fptc_find_file "${name}") || continue
		# A symlink to a library; the prefix has the library in another directory.
		[[ ${name} == *.so && $(head -c 4 "${path}") == $'\x7fELF' ]] && continue
		cp -L "${path}" "${T}/${name}" || die
		doins "${T}/${name}"
	done
	fptc_relative_ldscript "${ED}/usr/$(get_libdir)"/*.{so,a}
	[[ -e ${ED}/usr/$(get_libdir)/libm.so ]] ||
		dosym "$(use split-usr && echo "../..${libdir}/")libm.so.6" "/usr/$(get_libdir)/libm.so"

	include=$(fptc_find_header stdlib.h) || die "$(fptc_cc) finds no stdlib.h"
	multiarch=$(fptc_find_header bits/types.h) || die "$(fptc_cc) finds no bits/types.h"
	while read -r dir name; do
		mkdir -p "${ED}/usr/include/$(dirname "${name}")" || die
		cp -L "${dir}/${name}" "${ED}/usr/include/${name}" || die
	done < <(find_headers "${multiarch}" "${include}")
	[[ -f ${ED}/usr/include/stdlib.h && -f ${ED}/usr/include/bits/types.h ]] ||
		die "incomplete set of C headers in ${include}"
	find "${ED}/usr/include" -type f -exec chmod 0644 {} + || die
}
