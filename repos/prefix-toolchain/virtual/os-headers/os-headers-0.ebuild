# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for the operating system's headers"

SLOT="0"
KEYWORDS="amd64 arm64"

RDEPEND="sys-kernel/linux-headers"
