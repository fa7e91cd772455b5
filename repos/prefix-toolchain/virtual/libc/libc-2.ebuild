# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for the C library, built here or taken from the toolchain"

SLOT="0"
KEYWORDS="amd64 arm64"

# The set-up of a prefix chooses one of the two: package.mask contains the other one. gcc also
# links nearly every program with its own library, so linking needs gcc-runtime, too.
RDEPEND="
	|| (
		sys-libs/glibc:2.2
		prefix/imported-libc
	)
	prefix/gcc-runtime
"
