# SPDX-License-Identifier: BSD-3-Clause
"""Tools that this program implements; a wrapper runs each of these modules."""
