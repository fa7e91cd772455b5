# SPDX-License-Identifier: BSD-3-Clause
"""The session of one query: root, screen and environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flatcar_prefix.equery.output import Screen
from flatcar_prefix.equery.root import Target


class Session(NamedTuple):
    """The input of each query: the root, the output streams and the environment."""

    target: Target
    screen: Screen
    env: Mapping[str, str]
