# SPDX-License-Identifier: BSD-3-Clause
"""The audit behind ``flatcar-prefix verify``: findings, checks and reporters."""
