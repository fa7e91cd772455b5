# SPDX-License-Identifier: BSD-3-Clause
"""Become root in the SDK container, whose user is not root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from flatcar_prefix import environ
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system.places import Sdk, detect_sdk
from flatcar_prefix.system.python import launch

PASSED = (
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NOCOLOR",
    "NO_COLOR",
    "TERM",
)
"""Variables that sudo passes on, besides this program's own."""


def needed(sdk: Sdk, *, euid: int) -> bool:
    """Return whether a command that changes a prefix needs sudo here.

    Root owns the container's directories. On other machines the caller may have chosen
    writable directories, so the command runs as the caller.
    """
    return sdk.kind == "container" and euid != 0


def command(words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the command line that runs ``flatcar-prefix words`` again, as root.

    A single sudo call prompts at most once. ``env`` sets the variables again, because
    sudo's configuration drops most of them.
    """
    kept = {k: v for k, v in environ.items() if k in PASSED or k.startswith("FLATCAR_PREFIX_")}
    assignments = [f"{name}={value}" for name, value in sorted(kept.items())]
    return ["sudo", "--", "env", *assignments, *launch("flatcar-prefix", *words)]


def become_root(words: Sequence[str]) -> None:
    """Replace this process with ``flatcar-prefix words`` as root, if root is needed."""
    if not needed(detect_sdk(), euid=os.geteuid()):
        return
    if not shutil.which("sudo"):
        raise PrefixError(
            "the command needs root, but sudo is not installed", hint="Run the command as root."
        )
    argv = command(words, environ.variables())
    os.execvp(argv[0], argv)
