# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

# Upstream has moved its tarball of this release, and no distribution's archive has it. This
# one is repacked, without contrib's binaries and a few documents. It is another file, so it
# has another name.
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
	# Autoconf did not generate this configure. It has no --host, and uses the tools in the
	# environment.
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
