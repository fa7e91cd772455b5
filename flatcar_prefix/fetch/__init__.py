# SPDX-License-Identifier: BSD-3-Clause
"""FETCHCOMMAND: upstream first, then Debian's source packages."""
