# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Directories of a prefix, for all other packages"
HOMEPAGE="https://www.flatcar.org/"
S="${WORKDIR}"

LICENSE="metapackage"
SLOT="0"
KEYWORDS="amd64 arm64"
IUSE="+split-usr"

# The version satisfies every dependency on Gentoo's package, for which this one stands. A
# prefix masks the one that it does not use.

src_install() {
	local libdir=$(get_libdir) dir
	local dirs=( bin lib sbin "${libdir}" )

	keepdir /etc/env.d /etc/ld.so.conf.d /var/{lib,log}
	keepdir /usr/{bin,include,lib,libexec,sbin,share,"${libdir}"} /usr/share/{doc,man}

	for dir in "${dirs[@]}"; do
		if use split-usr; then
			keepdir "/${dir}"
		else
			dosym "usr/${dir}" "/${dir}"
		fi
	done
}
