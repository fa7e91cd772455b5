# SPDX-License-Identifier: BSD-3-Clause
"""Every tool in a prefix: declarations in ``wrappers/`` become scripts in the wrapper directory.

:mod:`~flatcar_prefix.wrappers.declaration` reads the declaration of a tool,
:mod:`~flatcar_prefix.wrappers.script` makes the text of its wrapper, and
:mod:`~flatcar_prefix.wrappers.files` writes, checks and removes the files.
"""
