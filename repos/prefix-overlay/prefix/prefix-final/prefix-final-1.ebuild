# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Packages that every prefix needs at run time"
HOMEPAGE="https://www.flatcar.org/"

LICENSE="metapackage"
SLOT="0"
KEYWORDS="amd64 arm64"

RDEPEND="
	prefix/gcc-runtime
	sys-apps/baselayout
	virtual/libc
"
