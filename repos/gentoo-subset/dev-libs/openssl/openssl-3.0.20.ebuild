# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Library for TLS and cryptography, and a program to use it by hand"
HOMEPAGE="https://www.openssl.org/"
SRC_URI="https://github.com/${PN}/${PN}/releases/download/${P}/${P}.tar.gz"

LICENSE="Apache-2.0"
SLOT="0/3"
KEYWORDS="amd64 arm64"
IUSE="static-libs"
# The test suite runs the built programs.
RESTRICT="test"

DEPEND="virtual/libc"
# The library searches ${EPREFIX}/etc/ssl (cert.pem, certs/) for certificates, or the values
# of SSL_CERT_FILE and SSL_CERT_DIR. app-misc/ca-certificates installs cert.pem.
RDEPEND="${DEPEND}"

pkg_pretend() {
	[[ ${MERGE_TYPE} == binary ]] && return
	perl -MFindBin -MIPC::Cmd -MFile::Compare -e 1 2>/dev/null ||
		die "perl with its standard modules is required for the build: install it on this machine"
}

# @FUNCTION: target
# @DESCRIPTION:
# Print Configure's name of the architecture.
target() {
	case ${ARCH} in
		amd64) echo linux-x86_64 ;;
		arm64) echo linux-aarch64 ;;
		*) die "no target known for ARCH=${ARCH}" ;;
	esac
}

src_configure() {
	# Compilers and flags in the environment override Configure's own.
	local -x AR="${AR:-${CHOST}-ar}" CC="${CC:-${CHOST}-gcc}" RANLIB="${RANLIB:-${CHOST}-ranlib}"
	local -x CFLAGS="${CFLAGS} -fno-strict-aliasing"
	unset CROSS_COMPILE
	local args=(
		perl Configure "$(target)"
		--prefix="${EPREFIX}/usr"
		--libdir="$(get_libdir)"
		--openssldir="${EPREFIX}/etc/ssl"
		enable-ec_nistp_64_gcc_128
		no-afalgeng
		no-capieng
		no-loadereng
		no-padlockeng
		no-tests
		shared
		threads
	)
	echo "${args[@]}"
	"${args[@]}" || die "Configure failed"
}

# @FUNCTION: build
# @USAGE: <make's argument>...
# @DESCRIPTION:
# Run make. Without USE=static-libs, skip the static libraries, whose objects would be compiled
# a second time.
build() {
	local -a libs=()
	use static-libs || libs=(
		INSTALL_LIBS=
		LIBS="apps/libapps.a providers/libcommon.a providers/libdefault.a"
	)
	emake "${libs[@]}" "$@"
}

src_compile() {
	build build_sw
}

src_install() {
	build -j1 DESTDIR="${D}" install_sw install_ssldirs
	# Perl scripts, and a second copy of upstream's settings.
	rm -r "${ED}"/usr/bin/c_rehash "${ED}"/etc/ssl/misc "${ED}"/etc/ssl/{openssl,ct_log_list}.cnf.dist || die
	keepdir /etc/ssl/{certs,private}
	rmdir "${ED}/usr/$(get_libdir)"/engines-3 2>/dev/null
	dodoc CHANGES.md NEWS.md README.md
}
