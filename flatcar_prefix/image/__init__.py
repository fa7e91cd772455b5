# SPDX-License-Identifier: BSD-3-Clause
"""System extension images: a prefix as one file that any system can merge."""
