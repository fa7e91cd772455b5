# SPDX-License-Identifier: BSD-3-Clause
"""Run programs in a root that contains only the prefix."""
