# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for the C library, built here or taken from the toolchain"

SLOT="0"
KEYWORDS="amd64 arm64"

# Which of the two a prefix has is settled when it is set up: its package.mask names the
# other one. gcc links nearly everything with a library of its own as well, so a program
# can be linked only once that is there too.
RDEPEND="
	|| (
		sys-libs/glibc:2.2
		prefix/imported-libc
	)
	prefix/gcc-runtime
"
