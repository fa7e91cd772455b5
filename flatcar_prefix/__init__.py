# SPDX-License-Identifier: BSD-3-Clause
"""Prefix builds for Flatcar Container Linux: portable software, made with Portage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flatcar_prefix.version import __version__

if TYPE_CHECKING:
    from flatcar_prefix.audit.api import verify as verify
    from flatcar_prefix.boards import BOARDS as BOARDS, Board as Board
    from flatcar_prefix.cli.doctor import examine as doctor
    from flatcar_prefix.emerge.call import run_emerge as run_emerge
    from flatcar_prefix.errors import (
        BuildError as BuildError,
        MismatchError as MismatchError,
        PrefixError as PrefixError,
        UsageError as UsageError,
    )
    from flatcar_prefix.image.build import sysext as sysext
    from flatcar_prefix.lifecycle.create import setup as setup
    from flatcar_prefix.lifecycle.overlays import add as add_overlays, remove as remove_overlays
    from flatcar_prefix.lifecycle.regen import regen as regen
    from flatcar_prefix.lifecycle.uninstall import uninstall as uninstall
    from flatcar_prefix.lifecycle.update import update as update
    from flatcar_prefix.lifecycle.wrappers import write as write_wrappers
    from flatcar_prefix.prefix.model import Prefix as Prefix, Root as Root
    from flatcar_prefix.prefix.registry import list_prefixes as list_prefixes, load as load
    from flatcar_prefix.recipe.build import build as build
    from flatcar_prefix.sandbox.run import run as run
    from flatcar_prefix.system.progress import Progress as Progress

    list = list_prefixes

# Each module loads on first use, because wrappers must start fast.
_PLACES = {
    "BOARDS": "boards",
    "Board": "boards",
    "BuildError": "errors",
    "MismatchError": "errors",
    "Prefix": "prefix.model",
    "Progress": "system.progress",
    "PrefixError": "errors",
    "Root": "prefix.model",
    "UsageError": "errors",
    "add_overlays": "lifecycle.overlays:add",
    "build": "recipe.build",
    "doctor": "cli.doctor:examine",
    "list": "prefix.registry:list_prefixes",
    "list_prefixes": "prefix.registry",
    "load": "prefix.registry",
    "regen": "lifecycle.regen",
    "remove_overlays": "lifecycle.overlays:remove",
    "run": "sandbox.run",
    "run_emerge": "emerge.call",
    "setup": "lifecycle.create",
    "sysext": "image.build",
    "uninstall": "lifecycle.uninstall",
    "update": "lifecycle.update",
    "verify": "audit.api",
    "write_wrappers": "lifecycle.wrappers:write",
}

# A star import must not replace the built-in function ``list``. Type checkers read this list.
__all__ = [
    "BOARDS",
    "Board",
    "BuildError",
    "MismatchError",
    "Prefix",
    "PrefixError",
    "Progress",
    "Root",
    "UsageError",
    "__version__",
    "add_overlays",
    "build",
    "doctor",
    "list_prefixes",
    "load",
    "regen",
    "remove_overlays",
    "run",
    "run_emerge",
    "setup",
    "sysext",
    "uninstall",
    "update",
    "verify",
    "write_wrappers",
]

if not TYPE_CHECKING:  # A type checker would accept every name.

    def __getattr__(name):
        from importlib import import_module
        from types import FunctionType

        from flatcar_prefix.errors import speaks_python

        try:
            place = _PLACES[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        module, _, attribute = place.partition(":")
        value = getattr(import_module(f"{__name__}.{module}"), attribute or name)
        if isinstance(value, FunctionType):
            value = speaks_python(value)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *_PLACES})
