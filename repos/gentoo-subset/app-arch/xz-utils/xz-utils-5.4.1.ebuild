# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Compressor of the xz and lzma formats, and its library"
HOMEPAGE="https://tukaani.org/xz/"
SRC_URI="https://tukaani.org/xz/xz-${PV}.tar.xz -> ${P}.tar.xz"
S="${WORKDIR}/xz-${PV}"

LICENSE="public-domain LGPL-2.1+ GPL-2+"
SLOT="0/5"
KEYWORDS="amd64 arm64"
IUSE="nls static-libs"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

src_configure() {
	local myconf=(
		# xzgrep and similar programs are shell scripts; a prefix may not have a shell.
		--disable-scripts
		--disable-doc
		--disable-lzma-links
		--disable-lzmadec
		--disable-lzmainfo
		--disable-xzdec
		$(use_enable nls)
		$(use_enable static-libs static)
	)
	econf "${myconf[@]}"
}

src_install() {
	default
	find "${ED}" -name '*.la' -delete || die
}
