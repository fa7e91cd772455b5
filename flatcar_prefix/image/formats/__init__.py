# SPDX-License-Identifier: BSD-3-Clause
"""Image formats, one file each."""
