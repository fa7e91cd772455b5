# SPDX-License-Identifier: BSD-3-Clause
"""The image formats, one module per format."""
