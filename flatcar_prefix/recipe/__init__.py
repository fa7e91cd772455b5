# SPDX-License-Identifier: BSD-3-Clause
"""A recipe: one file that describes a prefix, its software and its images."""
