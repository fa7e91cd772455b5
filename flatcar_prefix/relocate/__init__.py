# SPDX-License-Identifier: BSD-3-Clause
"""Change the EPREFIX of built files, so that one build serves prefixes at different paths."""
