# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

inherit flatcar-prefix-toolchain

# No distribution's archive has upstream's release tarball. The distribution repacked this one
# without manual/ (because of its licence) and without other changes. It is another file, so it
# has another name.
MY_P="${P}-nodocs"

DESCRIPTION="The GNU C library, configured for a prefix"
HOMEPAGE="https://www.gnu.org/software/libc/"
SRC_URI="debian://${PN}/${PN}_${PV}.orig.tar.xz -> ${MY_P}.tar.xz"

LICENSE="LGPL-2.1+ GPL-2+ BSD"
SLOT="2.2"
KEYWORDS="amd64 arm64"
# Packages of the time zones block a glibc without the flag vanilla, or with it: in Gentoo, it
# stands for one that installs the programs for time zones. This one installs none.
IUSE="nls +split-usr static-libs vanilla"
REQUIRED_USE="!vanilla"
# Nearly all objects and start files are compiled without debugging information.
QA_PRESTRIPPED="usr/lib.*"
# The test suite takes hours, and runs the built programs.
RESTRICT="mirror test"

PATCHES=(
	"${FILESDIR}/${P}-own-variables.patch"
	"${FILESDIR}/${P}-utf8-fallback.patch"
)

DEPEND="virtual/os-headers"
RDEPEND="sys-apps/baselayout"

# The library reads these files inside and outside the prefix:
#   inside   the loader, its search path and cache, gconv modules, locales, message
#            catalogues, ld.so.preload: all files that are code or name code
#   outside  /etc/{hosts,nsswitch.conf,passwd,group,resolv.conf,services,...},
#            /etc/localtime and /usr/share/zoneinfo, /bin/sh: the machine's own settings,
#            which must be the same in every program. If the prefix lacks the module of a
#            service in the machine's nsswitch.conf, the library skips the service, see
#            nsswitch.conf(5). It does not load modules from the machine.
# The caller's LD_LIBRARY_PATH, LD_PRELOAD, LD_AUDIT and GCONV_PATH are for the machine's programs;
# the library reads them only with LD_PREFIX_VARIABLES=1.

BUILD_DIR="${WORKDIR}/build"

pkg_pretend() {
	[[ ${MERGE_TYPE} == binary ]] && return

	local tool
	for tool in bison gawk make python3; do
		type -P "${tool}" >/dev/null ||
			die "${tool} not found; the C library's build requires it: install it on this machine"
	done
}

# @FUNCTION: drop_subdirs
# @USAGE: <subdirectory>...
# @DESCRIPTION:
# Leave subdirectories out of the build.
drop_subdirs() {
	local dir
	for dir; do
		sed -i -E "/^all-subdirs = /,/[^\\\\]\$/s/(^|[[:space:]])${dir}\>/\1/" Makeconfig || die
	done
}

# @FUNCTION: drop_static_libm
# @DESCRIPTION:
# Do not compile the objects of libm.a and libmvec.a, a quarter of the build. libc.a stays,
# because ldconfig is linked with it and must run before the loader is installed.
drop_static_libm() {
	sed -i 's/^object-suffixes-$(lib) := $(filter-out /&$(if $(filter libm libmvec,$(lib)),.o) /' \
		extra-lib.mk || die
	sed -i -E '/^install-(lib-ldscripts|others) /s, [^ ]*libm\.a$,,' math/Makefile || die
}

src_prepare() {
	default

	# The tarball lacks manual/ (see above). src_install uses localedata directly. support is
	# for the test suite.
	drop_subdirs manual localedata support
	use nls || drop_subdirs po
	use static-libs || drop_static_libm

	# These two paths are outside the prefix, and configure has no option for them.
	sed -i "s,\"/etc/ld.so.preload\",\"${EPREFIX}/etc/ld.so.preload\"," elf/rtld.c || die
	sed -i "s,\"/var/cache/ldconfig,\"${EPREFIX}/var/cache/ldconfig," \
		sysdeps/generic/ldconfig.h || die
	grep -q "\"${EPREFIX}/etc/ld.so.preload\"" elf/rtld.c || die
}

src_configure() {
	local loader=$(fptc_loader)
	mkdir -p "${BUILD_DIR}" || die
	cd "${BUILD_DIR}" || die

	cat > configparms <<-EOF || die
		localtime-file = /etc/localtime
		zonedir = /usr/share/zoneinfo
	EOF

	local myconf=(
		--disable-build-nscd
		--disable-nscd
		--disable-profile
		--disable-timezone-tools
		--disable-werror
		--enable-kernel="${FLATCAR_PREFIX_KERNEL:-3.2}"
		--enable-stack-protector=strong
		--with-headers="${ESYSROOT}/usr/include"
		--without-gd
		--without-selinux
	)

	# The prefix's compiler wrapper links with this library, so it cannot build it. The linker
	# flags name a loader that does not exist yet.
	unset CPP CPPFLAGS LDFLAGS
	CC=$(fptc_cc) CXX= BUILD_CC="${BUILD_CC:-gcc}" \
	ECONF_SOURCE=${S} \
	libc_cv_slibdir="${EPREFIX}$(fptc_slibdir)" \
	libc_cv_rtlddir="${EPREFIX}${loader%/*}" \
	libc_cv_rootsbindir="${EPREFIX}/sbin" \
		econf "${myconf[@]}"
}

src_compile() {
	emake -C "${BUILD_DIR}"
}

# @FUNCTION: run_localedef
# @USAGE: <arguments>
# @DESCRIPTION:
# Run the built localedef with its own loader or, if this machine cannot execute it, the
# machine's localedef. The format is the same on every 64-bit little-endian architecture.
run_localedef() {
	local loader=$(fptc_loader)
	local built=(
		"${BUILD_DIR}/elf/${loader##*/}" --library-path "${BUILD_DIR}"
		"${BUILD_DIR}/locale/localedef"
	)
	if "${built[@]}" --version &>/dev/null; then
		I18NPATH="${S}/localedata" "${built[@]}" --no-archive "$@"
	elif type -P localedef >/dev/null; then
		I18NPATH="${S}/localedata" localedef --little-endian --no-archive "$@"
	else
		ewarn "No localedef runs on this machine"
		return 1
	fi
}

src_install() {
	local dir=$(get_libdir) loader=$(fptc_loader) locale name charset
	emake -C "${BUILD_DIR}" install_root="${D}" install

	fptc_relative_ldscript "${ED}/usr/${dir}"/*.{so,a}

	if ! use split-usr; then
		# Here, ${EPREFIX}/lib64 and similar paths are symlinks of sys-apps/baselayout.
		for dir in lib "${dir}" sbin; do
			[[ -d ${ED}/${dir} ]] || continue
			mkdir -p "${ED}/usr/${dir}" || die
			mv "${ED}/${dir}"/* "${ED}/usr/${dir}"/ || die
			rmdir "${ED}/${dir}" || die
		done
		dir=$(get_libdir)
	fi

	# Debugging tools that need perl or bash, and a tool for repairing a machine. The loader
	# can do the work of ldd: ld-linux-x86-64.so.2 --list <program>.
	rm -f "${ED}"/usr/bin/{catchsegv,ldd,memusage,mtrace,pcprofiledump,sotruss,tzselect,xtrace} \
		"${ED}"{,/usr}/sbin/sln "${ED}"{,/usr}/"${dir}"/lib{memusage,pcprofile}.so || die
	rm -rf "${ED}/usr/${dir}/audit" "${ED}/usr/share/info" "${ED}/var" || die

	# Always C.UTF-8, and further locales such as "de_DE.UTF-8 sr_RS.UTF-8@latin".
	dodir "/usr/${dir}/locale"
	for locale in C.UTF-8 ${FLATCAR_PREFIX_LOCALES}; do
		einfo "Generating locale ${locale}"
		name=${locale%%.*}
		charset=${locale#*.}
		charset=${charset%@*}
		[[ ${locale} != *@* ]] || name+=@${locale#*@}
		run_localedef -i "${name}" -f "${charset}" \
			"${ED}/usr/${dir}/locale/${locale/UTF-8/utf8}" ||
			ewarn "Generating the locale ${locale} failed"
	done
}
