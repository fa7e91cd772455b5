# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Small POSIX shell, for a prefix that ships scripts"
HOMEPAGE="http://gondor.apana.org.au/~herbert/dash/"
SRC_URI="http://gondor.apana.org.au/~herbert/dash/files/${P}.tar.gz"

LICENSE="BSD"
SLOT="0"
KEYWORDS="amd64 arm64"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

src_configure() {
	# Its generators run on this machine.
	CC_FOR_BUILD=${BUILD_CC:-gcc} econf \
		--bindir="${EPREFIX}/bin" \
		--enable-fnmatch \
		--enable-glob \
		--without-libedit
}

src_install() {
	default
	# Scripts ask for /bin/sh; the two are in one directory, so the link holds with and
	# without merged-usr.
	dosym dash /bin/sh
}
