# SPDX-License-Identifier: BSD-3-Clause
"""Prefix builds for Flatcar Container Linux: portable software, made with Portage."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from flatcar_prefix.boards import BOARDS as BOARDS, Board as Board
    from flatcar_prefix.errors import (
        BuildError as BuildError,
        MismatchError as MismatchError,
        PrefixError as PrefixError,
        UsageError as UsageError,
    )
    from flatcar_prefix.lifecycle import setup as setup, update as update
    from flatcar_prefix.prefix import Prefix as Prefix, Root as Root
    from flatcar_prefix.registry import list_prefixes as list_prefixes, load as load
    from flatcar_prefix.removal import uninstall as uninstall
    from flatcar_prefix.sysext import sysext as sysext
    from flatcar_prefix.verify import verify as verify

# Importing any of them costs time that the wrappers have not got, so each waits.
_PLACES = {
    "BOARDS": "boards",
    "Board": "boards",
    "BuildError": "errors",
    "MismatchError": "errors",
    "Prefix": "prefix",
    "PrefixError": "errors",
    "Root": "prefix",
    "UsageError": "errors",
    "list": "registry:list_prefixes",
    "list_prefixes": "registry",
    "load": "registry",
    "setup": "lifecycle",
    "sysext": "sysext:sysext",
    "uninstall": "removal",
    "update": "lifecycle",
    "verify": "verify:verify",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    module, _, attribute = place.partition(":")
    value = getattr(import_module(f"{__name__}.{module}"), attribute or name)
    globals()[name] = value
    return value
