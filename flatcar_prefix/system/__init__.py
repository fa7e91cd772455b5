# SPDX-License-Identifier: BSD-3-Clause
"""This machine: processes, files, users, directories. Imports nothing of Portage or prefixes."""
