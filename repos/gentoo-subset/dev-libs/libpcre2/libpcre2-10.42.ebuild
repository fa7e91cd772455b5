# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

MY_P="pcre2-${PV}"

DESCRIPTION="Perl-compatible regular expressions, second interface"
HOMEPAGE="https://www.pcre.org/"
SRC_URI="https://github.com/PCRE2Project/pcre2/releases/download/${MY_P}/${MY_P}.tar.gz"
S="${WORKDIR}/${MY_P}"

LICENSE="BSD"
SLOT="0/3"
KEYWORDS="amd64 arm64"
IUSE="+jit pcre16 pcre32 static-libs +unicode"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

src_configure() {
	local myconf=(
		--disable-pcre2grep-callout
		--disable-pcre2test-libedit
		--disable-pcre2test-libreadline
		--enable-pcre2-8
		--enable-shared
		$(use_enable jit)
		$(use_enable pcre16 pcre2-16)
		$(use_enable pcre32 pcre2-32)
		$(use_enable static-libs static)
		$(use_enable unicode)
	)
	econf "${myconf[@]}"
}

src_install() {
	default
	find "${ED}" -name '*.la' -delete || die
	# The manual pages have the same contents.
	rm -r "${ED}/usr/share/doc/${PF}/html" || die
	# This shell script does the work of pkg-config; a prefix may not have a shell.
	rm "${ED}"/usr/bin/pcre2-config "${ED}"/usr/share/man/man1/pcre2-config.1 || die
}
