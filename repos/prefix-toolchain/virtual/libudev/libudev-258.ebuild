# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for libudev"

SLOT="0/1"
KEYWORDS="amd64 arm64"
IUSE="+abi_x86_64"

# Gentoo's virtual accepts systemd, which a prefix does not have, and its own utilities. The version
# that a checkout has may be too old for it, or support other versions of Python only.
RDEPEND="prefix/libudev"
