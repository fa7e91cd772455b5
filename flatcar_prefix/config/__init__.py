# SPDX-License-Identifier: BSD-3-Clause
"""Files below ``etc/portage``: make.conf, package.*, the profile, the build host's own."""
