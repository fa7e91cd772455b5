# SPDX-License-Identifier: BSD-3-Clause
"""The report of a prefix: one page about the packages of its image."""
