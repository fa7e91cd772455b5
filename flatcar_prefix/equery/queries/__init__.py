# SPDX-License-Identifier: BSD-3-Clause
"""The queries of equery, one module per query."""
