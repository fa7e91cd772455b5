# SPDX-License-Identifier: BSD-3-Clause
"""Plan, create, configure, bootstrap, update and uninstall a prefix."""
