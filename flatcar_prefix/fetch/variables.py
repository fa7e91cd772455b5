# SPDX-License-Identifier: BSD-3-Clause
"""The variables of make.conf that the fetch command reads.

make.conf's writer needs only these names, not the program that transfers files.
"""

from __future__ import annotations

NEWER_SUITES = "FLATCAR_PREFIX_NEWER_SUITES"
"""The variable of make.conf.user that, with the value ``no``, excludes newer suites."""

MIRRORS = "FLATCAR_PREFIX_MIRRORS"
"""The variable in which make.conf passes GENTOO_MIRRORS. Portage would fetch layout.conf from each
mirror for each file, and does not pass GENTOO_MIRRORS to FETCHCOMMAND."""
