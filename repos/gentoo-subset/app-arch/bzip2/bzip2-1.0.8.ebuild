# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Block-sorting file compressor and its library"
HOMEPAGE="https://sourceware.org/bzip2/"
SRC_URI="https://sourceware.org/pub/${PN}/${P}.tar.gz"

LICENSE="BZIP2"
SLOT="0/1"
KEYWORDS="amd64 arm64"
IUSE="static-libs"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

# The ebuild uses only the compilation rules of upstream's two Makefiles. They support neither
# another library directory nor a program that uses the shared library.

src_compile() {
	local args=(
		CC="${CC:-${CHOST}-gcc}"
		AR="${AR:-${CHOST}-ar}"
		RANLIB="${RANLIB:-${CHOST}-ranlib}"
		CFLAGS="${CFLAGS} ${CPPFLAGS} -D_FILE_OFFSET_BITS=64"
		LDFLAGS="${LDFLAGS}"
	)
	if use static-libs; then
		emake "${args[@]}" libbz2.a
		mv libbz2.a "${T}" || die
		emake "${args[@]}" clean
	fi
	# This Makefile accepts linker flags in CC only.
	args[0]+=" ${LDFLAGS}"
	args[3]+=" -fPIC"
	emake "${args[@]}" -f Makefile-libbz2_so
	rm -f bzip2.o bzip2recover.o || die
	emake "${args[@]}" bzip2.o bzip2recover.o

	ln -s libbz2.so.${PV} libbz2.so || die
	set -- ${CC:-${CHOST}-gcc} ${CFLAGS} ${LDFLAGS}
	"$@" -o bzip2 bzip2.o -L. -lbz2 || die
	"$@" -o bzip2recover bzip2recover.o || die
}

src_test() {
	local -x LD_LIBRARY_PATH=.
	local level
	for level in 1 2 3; do
		./bzip2 "-${level}" -c sample${level}.ref | cmp - sample${level}.bz2 || die
		./bzip2 -dc sample${level}.bz2 | cmp - sample${level}.ref || die
	done
}

src_install() {
	# bzdiff, bzgrep and bzmore are shell scripts; a prefix may not have a shell.
	dobin bzip2 bzip2recover
	dosym bzip2 /usr/bin/bunzip2
	dosym bzip2 /usr/bin/bzcat

	dolib.so libbz2.so.${PV}
	dosym libbz2.so.${PV} /usr/$(get_libdir)/libbz2.so.1.0
	dosym libbz2.so.${PV} /usr/$(get_libdir)/libbz2.so.1
	dosym libbz2.so.${PV} /usr/$(get_libdir)/libbz2.so
	use static-libs && dolib.a "${T}"/libbz2.a

	doheader bzlib.h
	doman bzip2.1
	dodoc CHANGES README README.COMPILATION.PROBLEMS
}
