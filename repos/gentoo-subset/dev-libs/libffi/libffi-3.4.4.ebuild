# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Calls functions whose types are known only at run time"
HOMEPAGE="https://sourceware.org/libffi/"
SRC_URI="https://github.com/libffi/libffi/releases/download/v${PV}/${P}.tar.gz"

LICENSE="MIT"
SLOT="0/8"
KEYWORDS="amd64 arm64"
IUSE="static-libs"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

src_prepare() {
	default
	# One source file calls a function of another that no header declares.
	sed -i 's/^#include <tramp.h>$/&\nint open_temp_exec_file(void);/' src/tramp.c || die
	grep -q '^int open_temp_exec_file' src/tramp.c || die
}

src_configure() {
	local myconf=(
		--disable-docs
		# The compiler's library directory (../lib64) differs from the prefix's.
		--disable-multi-os-directory
		$(use_enable static-libs static)
	)
	econf "${myconf[@]}"
}

src_install() {
	# When cross-compiling, it would install to a directory named after CHOST.
	emake DESTDIR="${D}" toolexeclibdir="${EPREFIX}/usr/$(get_libdir)" install
	einstalldocs
	find "${ED}" -name '*.la' -delete || die
	rm -rf "${ED}/usr/share/info" || die
}
