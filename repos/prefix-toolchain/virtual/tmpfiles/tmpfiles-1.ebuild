# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for what creates temporary files at boot: the target's own systemd"

SLOT="0"
KEYWORDS="amd64 arm64"

# Packages that install tmpfiles.d files depend on this. A prefix does not boot: whether
# and when such files are made is the business of the machine that it comes to.
