# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Lets users edit the lines that they type, and recall earlier ones"
HOMEPAGE="https://tiswww.case.edu/php/chet/readline/rltop.html"
SRC_URI="https://ftp.gnu.org/gnu/${PN}/${P}.tar.gz"

LICENSE="GPL-3+"
SLOT="0/8"
KEYWORDS="amd64 arm64"
IUSE="static-libs"

DEPEND="
	sys-libs/ncurses:=
	virtual/libc
"
RDEPEND="${DEPEND}"

src_prepare() {
	default
	# The system-wide settings, for users without their own.
	sed -i "s,\"/etc/inputrc\",\"${EPREFIX}/etc/inputrc\"," rlconf.h || die
}

src_configure() {
	local myconf=(
		--disable-install-examples
		--enable-shared
		--with-curses
		$(use_enable static-libs static)
	)
	# Results of configure's run tests, and of a search that could find another library.
	bash_cv_func_ctype_nonascii=yes \
	bash_cv_func_sigsetjmp=present \
	bash_cv_func_strcoll_broken=no \
	bash_cv_must_reinstall_sighandlers=no \
	bash_cv_termcap_lib=libncursesw \
	bash_cv_wcwidth_broken=no \
		econf "${myconf[@]}"
}

src_compile() {
	emake SHLIB_LIBS=-lncursesw
}

src_install() {
	emake DESTDIR="${D}" SHLIB_LIBS=-lncursesw install
	sed -i 's/^\(Requires.private:\).*/\1 ncursesw/' "${ED}/usr/$(get_libdir)/pkgconfig/readline.pc" || die
	rm -rf "${ED}"/usr/share/info "${ED}"/usr/bin || die
	dodoc CHANGES NEWS README
}
