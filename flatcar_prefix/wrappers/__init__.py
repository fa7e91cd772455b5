# SPDX-License-Identifier: BSD-3-Clause
"""Wrappers: scripts that run tools in a prefix, generated from declarations in ``wrappers/``.

:mod:`~flatcar_prefix.wrappers.declaration` reads the declaration of a tool,
:mod:`~flatcar_prefix.wrappers.script` generates the text of its wrapper, and
:mod:`~flatcar_prefix.wrappers.files` writes, checks and removes the files.
"""
