# SPDX-License-Identifier: BSD-3-Clause
"""The prefix itself: its model, record, registry and locks."""
