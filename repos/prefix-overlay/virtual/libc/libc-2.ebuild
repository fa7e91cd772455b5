# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for the C library, built here or taken from the toolchain"

SLOT="0"
KEYWORDS="amd64 arm64"

# Which of the two a prefix has is settled when it is set up: its package.mask names the
# other one.
RDEPEND="
	|| (
		sys-libs/glibc:2.2
		prefix/imported-libc
	)
"
