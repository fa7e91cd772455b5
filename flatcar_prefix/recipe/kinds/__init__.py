# SPDX-License-Identifier: BSD-3-Clause
"""The ebuilds of each kind of software, one module a kind."""
