# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Prints the lines of a file that match a pattern"
HOMEPAGE="https://www.gnu.org/software/grep/"
SRC_URI="https://ftp.gnu.org/gnu/${PN}/${P}.tar.xz"

LICENSE="GPL-3+ FDL-1.3+"
SLOT="0"
KEYWORDS="amd64 arm64"
IUSE="nls +pcre"

DEPEND="
	virtual/libc
	pcre? ( dev-libs/libpcre2:= )
"
RDEPEND="${DEPEND}"

src_configure() {
	local myconf=(
		--disable-gcc-warnings
		$(use_enable nls)
		$(use_enable pcre perl-regexp)
	)
	econf "${myconf[@]}"
}

src_install() {
	default
	# A prefix does not have a reader of info files.
	rm -rf "${ED}/usr/share/info" || die
	# These shell scripts call grep -E and grep -F, and are obsolete since this release. A
	# prefix may not have a shell.
	rm "${ED}"/usr/bin/{e,f}grep || die
}
