# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

# No distribution's archive has upstream's release tarball, which contains a generated
# configure. This is the tree of the release's tag. It is another file, so it has another name.
MY_TAG="R_${PV//./_}"

DESCRIPTION="XML parser that reads a document as a stream"
HOMEPAGE="https://libexpat.github.io/"
SRC_URI="debian://${PN}/${PN}_${PV}.orig.tar.gz -> ${P}-tag.tar.gz"
S="${WORKDIR}/libexpat-${MY_TAG}/expat"

LICENSE="MIT"
SLOT="0/1"
KEYWORDS="amd64 arm64"
IUSE="static-libs"
RESTRICT="mirror"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

# There are three source files, so the ebuild needs neither Autotools nor CMake.
SOURCES=( xmlparse xmlrole xmltok )

# @FUNCTION: library_version
# @DESCRIPTION:
# Print the version in the name of the shared library, from libtool's three numbers.
library_version() {
	local current revision age
	current=$(sed -n 's/^LIBCURRENT=\([0-9]*\).*/\1/p' configure.ac) || die
	revision=$(sed -n 's/^LIBREVISION=\([0-9]*\).*/\1/p' configure.ac) || die
	age=$(sed -n 's/^LIBAGE=\([0-9]*\).*/\1/p' configure.ac) || die
	[[ ${current} && ${revision} && ${age} ]] || die "configure.ac does not set the library version"
	echo "$(( current - age )).${age}.${revision}"
}

src_configure() {
	cat > expat_config.h <<-EOF_CONFIG || die
		/* Linux with glibc, little-endian, which every board is. */
		#define BYTEORDER 1234
		#define HAVE_DLFCN_H 1
		#define HAVE_FCNTL_H 1
		#define HAVE_GETPAGESIZE 1
		#define HAVE_GETRANDOM 1
		#define HAVE_INTTYPES_H 1
		#define HAVE_MEMORY_H 1
		#define HAVE_MMAP 1
		#define HAVE_STDINT_H 1
		#define HAVE_STDLIB_H 1
		#define HAVE_STRINGS_H 1
		#define HAVE_STRING_H 1
		#define HAVE_SYSCALL_GETRANDOM 1
		#define HAVE_SYS_STAT_H 1
		#define HAVE_SYS_TYPES_H 1
		#define HAVE_UNISTD_H 1
		#define PACKAGE_BUGREPORT "expat-bugs@libexpat.org"
		#define PACKAGE_NAME "expat"
		#define PACKAGE_STRING "expat ${PV}"
		#define PACKAGE_TARNAME "expat"
		#define PACKAGE_VERSION "${PV}"
		#define STDC_HEADERS 1
		#define XML_CONTEXT_BYTES 1024
		#define XML_DEV_URANDOM 1
		#define XML_DTD 1
		#define XML_NS 1
	EOF_CONFIG
	sed \
		-e "s,@prefix@,${EPREFIX}/usr," \
		-e "s,@exec_prefix@,\${prefix}," \
		-e "s,@libdir@,\${prefix}/$(get_libdir)," \
		-e "s,@includedir@,\${prefix}/include," \
		-e "s,@PACKAGE_NAME@,expat,g" \
		-e "s,@PACKAGE_VERSION@,${PV}," \
		-e "s,@LIBM@,," \
		expat.pc.in > expat.pc || die
}

src_compile() {
	local name objects=() version=$(library_version)
	set -- ${CC:-${CHOST}-gcc} ${CPPFLAGS} ${CFLAGS} -DHAVE_EXPAT_CONFIG_H -I. -fno-strict-aliasing
	for name in "${SOURCES[@]}"; do
		echo "$@" -fPIC -c "lib/${name}.c"
		"$@" -fPIC -c "lib/${name}.c" -o "${name}.lo" || die
		objects+=( "${name}.lo" )
		if use static-libs; then
			"$@" -c "lib/${name}.c" -o "${name}.o" || die
		fi
	done
	set -- ${CC:-${CHOST}-gcc} ${CFLAGS} ${LDFLAGS} -shared "-Wl,-soname,libexpat.so.${version%%.*}"
	echo "$@" "${objects[@]}"
	"$@" "${objects[@]}" -o "libexpat.so.${version}" || die
	if use static-libs; then
		"${AR:-${CHOST}-ar}" rcs libexpat.a "${SOURCES[@]/%/.o}" || die
	fi
}

src_install() {
	local version=$(library_version)
	dolib.so "libexpat.so.${version}"
	dosym "libexpat.so.${version}" "/usr/$(get_libdir)/libexpat.so.${version%%.*}"
	dosym "libexpat.so.${version}" "/usr/$(get_libdir)/libexpat.so"
	use static-libs && dolib.a libexpat.a
	doheader expat_config.h lib/expat.h lib/expat_external.h
	insinto "/usr/$(get_libdir)/pkgconfig"
	doins expat.pc
	dodoc AUTHORS Changes README.md
}
