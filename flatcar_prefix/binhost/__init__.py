# SPDX-License-Identifier: BSD-3-Clause
"""Binary packages of other prefixes: where they are, who signed them, and which ones fit."""
