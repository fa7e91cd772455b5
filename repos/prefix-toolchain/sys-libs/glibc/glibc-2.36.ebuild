# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

inherit flatcar-prefix-toolchain

# The upstream release tarball is in no distribution's archive: this is the repacked one
# of the distribution, which leaves out manual/ (for its licence) and differs in nothing
# else. It is another file, so it has another name than upstream's.
MY_P="${P}-nodocs"

DESCRIPTION="The GNU C library, configured for a prefix"
HOMEPAGE="https://www.gnu.org/software/libc/"
SRC_URI="debian://${PN}/${PN}_${PV}.orig.tar.xz -> ${MY_P}.tar.xz"

LICENSE="LGPL-2.1+ GPL-2+ BSD"
SLOT="2.2"
KEYWORDS="amd64 arm64"
IUSE="nls +split-usr static-libs"
# Nearly all of its objects and start files have no debugging information to begin with.
QA_PRESTRIPPED="usr/lib.*"
# Its test suite takes hours, and needs to run what it has built.
RESTRICT="mirror test"

DEPEND="virtual/os-headers"
RDEPEND="sys-apps/baselayout"

# What the library looks for inside the prefix, and what outside:
#   inside   the loader, its search path and cache, gconv modules, locales, message
#            catalogues, ld.so.preload - everything that is, or leads to, code
#   outside  /etc/{hosts,nsswitch.conf,passwd,group,resolv.conf,services,...},
#            /etc/localtime and /usr/share/zoneinfo, /bin/sh - the machine's own answers
#            about itself, which a user expects to be the same in every program. A
#            service in the machine's nsswitch.conf whose module the prefix lacks is
#            passed over, as nsswitch.conf(5) has it; none is loaded from the machine.

BUILD_DIR="${WORKDIR}/build"

pkg_pretend() {
	[[ ${MERGE_TYPE} == binary ]] && return

	local tool
	for tool in bison gawk make python3; do
		type -P "${tool}" >/dev/null ||
			die "${tool} is needed to build the C library: install it on this machine"
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
# Compile no objects for libm.a and libmvec.a, a quarter of the build. libc.a stays:
# ldconfig is linked with it, so that it runs where its loader is not in its place.
drop_static_libm() {
	sed -i 's/^object-suffixes-$(lib) := $(filter-out /&$(if $(filter libm libmvec,$(lib)),.o) /' \
		extra-lib.mk || die
	sed -i -E '/^install-(lib-ldscripts|others) /s, [^ ]*libm\.a$,,' math/Makefile || die
}

src_prepare() {
	default

	# manual/ is not there (see above); localedata is only used from here, in src_install;
	# support is for the test suite.
	drop_subdirs manual localedata support
	use nls || drop_subdirs po
	use static-libs || drop_static_libm

	# These two would lead outside, and are not configurable.
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

	# The prefix's wrapper cannot compile the library that it links to, and its linker
	# flags name a loader that is not there yet.
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
# Run the localedef that was built here, by its own loader; where this machine cannot
# execute it, the machine's own. The format is the same on every 64-bit little-endian
# architecture.
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
	local dir=$(get_libdir) loader=$(fptc_loader) locale
	emake -C "${BUILD_DIR}" install_root="${D}" install

	fptc_relative_ldscript "${ED}/usr/${dir}"/*.{so,a}

	if ! use split-usr; then
		# There, ${EPREFIX}/lib64 and its like are symlinks that sys-apps/baselayout owns.
		for dir in lib "${dir}" sbin; do
			[[ -d ${ED}/${dir} ]] || continue
			mkdir -p "${ED}/usr/${dir}" || die
			mv "${ED}/${dir}"/* "${ED}/usr/${dir}"/ || die
			rmdir "${ED}/${dir}" || die
		done
		dir=$(get_libdir)
	fi

	# Aids for debugging that want perl or bash, and one for repairing a machine. What ldd
	# tells, the loader tells by itself: ld-linux-x86-64.so.2 --list <program>.
	rm -f "${ED}"/usr/bin/{catchsegv,ldd,memusage,mtrace,pcprofiledump,sotruss,tzselect,xtrace} \
		"${ED}"{,/usr}/sbin/sln "${ED}"{,/usr}/"${dir}"/lib{memusage,pcprofile}.so || die
	rm -rf "${ED}/usr/${dir}/audit" "${ED}/usr/share/info" "${ED}/var" || die

	# C.UTF-8 for everyone; more on demand, as "de_DE.UTF-8 ja_JP.UTF-8".
	dodir "/usr/${dir}/locale"
	for locale in C.UTF-8 ${FLATCAR_PREFIX_LOCALES}; do
		einfo "Generating locale ${locale}"
		run_localedef -i "${locale%.*}" -f "${locale##*.}" \
			"${ED}/usr/${dir}/locale/${locale/UTF-8/utf8}" ||
			ewarn "Locale ${locale} could not be generated"
	done
}
