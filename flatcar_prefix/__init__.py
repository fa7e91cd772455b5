# SPDX-License-Identifier: BSD-3-Clause
"""Prefix builds for Flatcar Container Linux: portable software, made with Portage."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flatcar_prefix.version import __version__

if TYPE_CHECKING:
    from flatcar_prefix.audit.api import verify as verify
    from flatcar_prefix.boards import BOARDS as BOARDS, Board as Board
    from flatcar_prefix.errors import (
        BuildError as BuildError,
        MismatchError as MismatchError,
        PrefixError as PrefixError,
        UsageError as UsageError,
    )
    from flatcar_prefix.image.build import sysext as sysext
    from flatcar_prefix.lifecycle.create import setup as setup
    from flatcar_prefix.lifecycle.uninstall import uninstall as uninstall
    from flatcar_prefix.lifecycle.update import update as update
    from flatcar_prefix.prefix.model import Prefix as Prefix, Root as Root
    from flatcar_prefix.prefix.registry import list_prefixes as list_prefixes, load as load
    from flatcar_prefix.system.messages import Progress as Progress

# Each module loads on first use, because wrappers must start fast.
_PLACES = {
    "BOARDS": "boards",
    "Board": "boards",
    "BuildError": "errors",
    "MismatchError": "errors",
    "Prefix": "prefix.model",
    "Progress": "system.messages",
    "PrefixError": "errors",
    "Root": "prefix.model",
    "UsageError": "errors",
    "list": "prefix.registry:list_prefixes",
    "list_prefixes": "prefix.registry",
    "load": "prefix.registry",
    "setup": "lifecycle.create",
    "sysext": "image.build",
    "uninstall": "lifecycle.uninstall",
    "update": "lifecycle.update",
    "verify": "audit.api",
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
