# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

# Upstream releases this tree as a zip archive. The distribution repacked it as a tar archive.
# It is another file, so it has another name.
MY_P="sqlite3-${PV}"

DESCRIPTION="SQL database in one library, in one file"
HOMEPAGE="https://sqlite.org/"
SRC_URI="debian://sqlite3/sqlite3_${PV}.orig.tar.xz -> ${P}-tree.tar.xz"
S="${WORKDIR}/${MY_P}"

LICENSE="public-domain"
SLOT="3"
KEYWORDS="amd64 arm64"
IUSE="static-libs"
RESTRICT="mirror"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"
# Tcl scripts generate the single large source file.
BDEPEND="dev-lang/tcl"

src_prepare() {
	default
	# Otherwise the program contains a copy of the whole library.
	sed -i '/^sqlite3$(TEXE):/,/^$/s/sqlite3\.c/libsqlite3.la/' Makefile.in || die
	grep -q 'shell\.c libsqlite3\.la' Makefile.in || die "Makefile.in does not link the program as expected"
}

src_configure() {
	local myconf=(
		--disable-editline
		--disable-readline
		--disable-tcl
		--enable-all
		--enable-threadsafe
		$(use_enable static-libs static)
	)
	local -x CPPFLAGS="${CPPFLAGS} -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB
		-DSQLITE_ENABLE_FTS3_PARENTHESIS -DSQLITE_ENABLE_FTS3_TOKENIZER
		-DSQLITE_ENABLE_STMTVTAB -DSQLITE_ENABLE_UNLOCK_NOTIFY -DSQLITE_MAX_VARIABLE_NUMBER=250000
		-DSQLITE_USE_URI"
	CPPFLAGS=${CPPFLAGS//[$'\n\t']/ } BUILD_CC="${BUILD_CC:-gcc}" econf "${myconf[@]}"
}

src_compile() {
	emake BCC="${BUILD_CC:-gcc} -O1" libsqlite3.la sqlite3
}

src_install() {
	emake BCC="${BUILD_CC:-gcc} -O1" DESTDIR="${D}" HAVE_TCL= install
	find "${ED}" -name '*.la' -delete || die
	doman sqlite3.1
}
