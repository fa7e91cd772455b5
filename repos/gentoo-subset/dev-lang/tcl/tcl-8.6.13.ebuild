# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

# Upstream's tarball is in no distribution's archive: this is the repacked one, which
# leaves out compiled programs and a few documents. It is another file, so it has another
# name.
MY_P="${P}.dfsg"

DESCRIPTION="Tool command language, for what builds by scripts in it"
HOMEPAGE="https://www.tcl-lang.org/"
SRC_URI="debian://tcl$(ver_cut 1-2)/tcl$(ver_cut 1-2)_${PV}+dfsg.orig.tar.gz -> ${MY_P}.tar.gz"
S="${WORKDIR}/tcl${PV}/unix"

LICENSE="tcltk"
SLOT="0/8.6"
KEYWORDS="amd64 arm64"
RESTRICT="mirror test"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

src_configure() {
	local myconf=(
		--disable-symbols
		--enable-shared
		--enable-threads
		# Time zones: the machine's.
		--with-tzdata=no
	)
	# What configure would find out by running programs.
	tcl_cv_strstr_unbroken=ok \
	tcl_cv_strtoul_unbroken=ok \
	tcl_cv_strtod_unbroken=ok \
	tcl_cv_strtod_buggy=ok \
	ac_cv_func_strtod=yes \
		econf "${myconf[@]}"
}

src_compile() {
	emake binaries libraries
}

src_install() {
	emake -j1 INSTALL_ROOT="${D}" install-binaries install-libraries
	dosym "tclsh$(ver_cut 1-2)" /usr/bin/tclsh
}
