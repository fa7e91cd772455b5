# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

# No distribution's archive has upstream's tarball. This one is repacked, without compiled
# programs and a few documents. It is another file, so it has another name.
MY_P="${P}.dfsg"

DESCRIPTION="Tool command language, for builds that use Tcl scripts"
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
		# Use the machine's time zones.
		--with-tzdata=no
	)
	# Results of configure's run tests.
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
	# Extensions read this file to find Tcl; it names the build directory.
	local lib=${EPREFIX}/usr/$(get_libdir)
	sed -i -e "s|${S}|${lib}|g" -e "s|^TCL_SRC_DIR=.*|TCL_SRC_DIR='${EPREFIX}/usr/include'|" \
		"${D}${lib}/tclConfig.sh" || die
	dosym "tclsh$(ver_cut 1-2)" /usr/bin/tclsh
}
