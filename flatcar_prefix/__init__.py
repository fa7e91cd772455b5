# SPDX-License-Identifier: BSD-3-Clause
"""Prefix builds for Flatcar Container Linux: portable software, made with Portage."""

__version__ = "0.1.0"
