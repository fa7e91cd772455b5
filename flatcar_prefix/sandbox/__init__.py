# SPDX-License-Identifier: BSD-3-Clause
"""Run programs in a root in which only the prefix exists."""
