# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Virtual for creating temporary files at boot, with the target's own systemd"

SLOT="0"
KEYWORDS="amd64 arm64"

# Packages that install tmpfiles.d files depend on this. A prefix does not boot; the target
# machine creates such files.
