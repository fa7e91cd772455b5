# SPDX-License-Identifier: BSD-3-Clause
"""The life of a prefix: plan, create, configure, bootstrap, update, uninstall."""
