# SPDX-License-Identifier: BSD-3-Clause
"""Ebuild repositories: find them, choose a profile, read a checkout's configuration."""
