# SPDX-License-Identifier: BSD-3-Clause
"""The stages that fill staging, and the first packages of final."""

from __future__ import annotations

from collections.abc import Callable
from flatcar_prefix.prefix import Prefix


def bootstrap(prefix: Prefix, *, say: Callable[[str], None]) -> Prefix:
    return prefix
