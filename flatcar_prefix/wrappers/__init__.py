# SPDX-License-Identifier: BSD-3-Clause
"""Wrappers: scripts that run tools in a prefix, generated from declarations in ``wrappers/``.

:mod:`~flatcar_prefix.wrappers.declaration` reads the declaration of a tool,
:mod:`~flatcar_prefix.wrappers.script` generates the text of its wrapper,
:mod:`~flatcar_prefix.wrappers.wanted` lists the wrappers of a prefix,
:mod:`~flatcar_prefix.wrappers.files` writes and removes the files,
:mod:`~flatcar_prefix.wrappers.check` compares them, and
:mod:`~flatcar_prefix.wrappers.marks` tells which files are wrappers.
"""
