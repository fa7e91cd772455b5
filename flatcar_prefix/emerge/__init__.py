# SPDX-License-Identifier: BSD-3-Clause
"""``emerge`` for a prefix: builds in staging, then installs into final.

:mod:`~flatcar_prefix.emerge.which_roots` says what each call means for the two roots,
:mod:`~flatcar_prefix.emerge.one_root` runs one of them in Portage,
:mod:`~flatcar_prefix.portage_api.depgraph` is what it has planned, and
:mod:`~flatcar_prefix.emerge.command` is the command itself.
"""
