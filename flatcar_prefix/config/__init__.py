# SPDX-License-Identifier: BSD-3-Clause
"""Write the files below ``etc/portage``: make.conf, package.*, the profile, the build host's."""
