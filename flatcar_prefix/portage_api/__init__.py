# SPDX-License-Identifier: BSD-3-Clause
"""The only importer of private names of Portage and of ``_emerge``."""
