# SPDX-License-Identifier: BSD-3-Clause
"""FETCHCOMMAND: fetch from upstream, else from Debian's source packages."""
