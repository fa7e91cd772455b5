# SPDX-License-Identifier: BSD-3-Clause
"""The checks, one subject per module. Each check yields findings."""
