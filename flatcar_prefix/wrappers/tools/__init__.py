# SPDX-License-Identifier: BSD-3-Clause
"""Tools that this program answers itself, each a module run by a wrapper."""
