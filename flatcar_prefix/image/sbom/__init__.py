# SPDX-License-Identifier: BSD-3-Clause
"""Bills of materials of an image."""
