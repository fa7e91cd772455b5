# SPDX-License-Identifier: BSD-3-Clause
"""Decide which output gets colour, and which terminal can move its cursor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from flatcar_prefix import environ


def allows_colour(env: Mapping[str, str]) -> bool:
    """Return whether the environment allows colour.

    NO_COLOR (no-color.org) forbids it with any value that is not empty, NOCOLOR with "yes" or
    "true" (make.conf(5)), and TERM with "dumb" (``_emerge.actions.adjust_config``).
    """
    return not (
        env.get("NO_COLOR")
        or env.get("NOCOLOR", "").lower() in ("yes", "true")
        or env.get("TERM") == "dumb"
    )


def shows_colour(stream: TextIO) -> bool:
    """Return whether to write colour to ``stream``: it is a terminal, and colour is allowed."""
    return stream.isatty() and allows_colour(environ.variables())


def moves_cursor(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal that can overwrite a line."""
    return stream.isatty() and environ.value("TERM", "dumb") != "dumb"
