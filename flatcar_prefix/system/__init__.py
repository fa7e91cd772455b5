# SPDX-License-Identifier: BSD-3-Clause
"""This machine: processes, files, users, places. No Portage, no prefix."""
