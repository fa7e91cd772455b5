# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

# Mozilla's list, from the distribution's package, which does not have another upstream.
DEB_PV="${PV}+deb12u1"

DESCRIPTION="Certificates of the authorities that Mozilla trusts, as one file"
HOMEPAGE="https://wiki.mozilla.org/CA"
SRC_URI="debian://${PN}/${PN}_${DEB_PV}.tar.xz -> ${PN}-${DEB_PV}.tar.xz"
S="${WORKDIR}/${PN}"

LICENSE="MPL-2.0"
SLOT="0"
KEYWORDS="amd64 arm64"
RESTRICT="mirror"

RDEPEND="sys-apps/baselayout"

pkg_pretend() {
	[[ ${MERGE_TYPE} == binary ]] && return
	type -P python3 >/dev/null || die "python3 not found; it is required for the build: install it on this machine"
}

src_compile() {
	python3 "${FILESDIR}/bundle.py" mozilla/certdata.txt > ca-certificates.crt || die
}

src_install() {
	insinto /etc/ssl/certs
	doins ca-certificates.crt
	# dev-libs/openssl looks for certificates here.
	dosym certs/ca-certificates.crt /etc/ssl/cert.pem
}
