# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

# No distribution's archive holds upstream's tarball of this release, which upstream
# itself has moved away. This is a repacked one, without contrib's binaries and a few
# documents; it is another file, so it has another name.
MY_P="${P}.dfsg"

DESCRIPTION="Compression library for the deflate format"
HOMEPAGE="https://zlib.net/"
SRC_URI="debian://${PN}/${PN}_${PV}.dfsg.orig.tar.bz2 -> ${MY_P}.tar.bz2"
S="${WORKDIR}/${MY_P}"

LICENSE="ZLIB"
SLOT="0/1"
KEYWORDS="amd64 arm64"
IUSE="static-libs"
RESTRICT="mirror"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

src_configure() {
	# Not made by autoconf: it takes no --host, and finds the tools in the environment.
	local -x CC="${CC:-${CHOST}-gcc}" AR="${AR:-${CHOST}-ar}" CHOST=${CHOST}
	local -x RANLIB="${RANLIB:-${CHOST}-ranlib}" NM="${NM:-${CHOST}-nm}" uname=Linux
	local args=(
		./configure
		--prefix="${EPREFIX}/usr"
		--libdir="${EPREFIX}/usr/$(get_libdir)"
		--sharedlibdir="${EPREFIX}/usr/$(get_libdir)"
		--shared
	)
	echo "${args[@]}"
	"${args[@]}" || die "configure failed"
}

src_install() {
	emake DESTDIR="${D}" LDCONFIG=: install
	use static-libs || rm "${ED}/usr/$(get_libdir)/libz.a" || die
	dodoc ChangeLog FAQ README
}
