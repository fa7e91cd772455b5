# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for udev, with the target's own daemon"

SLOT="0"
KEYWORDS="amd64 arm64"

# Packages depend on this for its library, its directories or its daemon. A prefix has no daemon.
RDEPEND="virtual/libudev"
