# SPDX-License-Identifier: BSD-3-Clause
"""The checks, one family a module: each takes what it needs and yields findings."""
