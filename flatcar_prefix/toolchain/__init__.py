# SPDX-License-Identifier: BSD-3-Clause
"""The compiler of a board: find it, choose its flags, write the prefix's tools."""
