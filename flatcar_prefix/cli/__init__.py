# SPDX-License-Identifier: BSD-3-Clause
"""The command lines: one file per verb, each with its parser and its handler."""
