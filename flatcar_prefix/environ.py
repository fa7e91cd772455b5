# SPDX-License-Identifier: BSD-3-Clause
"""The environment of this process. Only this module reads or changes it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping


def variables(*, without: Collection[str] = ()) -> dict[str, str]:
    """Return a copy of the environment, for instance for a child process."""
    return {name: value for name, value in os.environ.items() if name not in without}


def value(name: str, default: str = "") -> str:
    """Return the value of a variable, or ``default`` if it is not set."""
    return os.environ.get(name, default)


def search_path() -> str:
    """Return PATH, or the system's default if it is not set, see exec(3)."""
    return os.environ.get("PATH", os.defpath)


def take(name: str) -> str:
    """Remove a variable from the environment and return its value."""
    return os.environ.pop(name, "")


def publish(changes: Mapping[str, str]) -> None:
    """Set variables for Portage in this process and for its children."""
    os.environ.update(changes)
