# SPDX-License-Identifier: BSD-3-Clause
"""``emerge`` for a prefix: build in staging, then install into final.

:mod:`~flatcar_prefix.emerge.command` is the command itself.
:mod:`~flatcar_prefix.emerge.which_roots` chooses the roots of a call.
:mod:`~flatcar_prefix.emerge.one_root` runs Portage in one root.
:mod:`~flatcar_prefix.portage_api.depgraph` reads the plan of that run.
"""
