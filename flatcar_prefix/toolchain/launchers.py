# SPDX-License-Identifier: BSD-3-Clause
"""Compiler launchers (ccache, distcc, icecream) before the compilers of a prefix.

``<chost>-gcc`` of a prefix is a script. It starts the launcher with the real compiler and the
flags of the prefix, so a helper on another machine needs only a compiler of the same version,
and ccache identifies the real compiler. ``eclass-helpers/bashrc`` chooses the launcher by
FEATURES, which :mod:`flatcar_prefix.portage_api.launcher_hooks` keeps.
"""

from __future__ import annotations

VARIABLE = "FLATCAR_PREFIX_COMPILER_LAUNCHER"
"""Names the launcher, with its arguments, to the compiler scripts. Users may set it, too."""

CALL = f"${{{VARIABLE}-}} "
"""The shell text of the launcher before a compiler; empty without one."""
