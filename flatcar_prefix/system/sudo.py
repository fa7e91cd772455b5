# SPDX-License-Identifier: BSD-3-Clause
"""Becoming root in the SDK container, where its user is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system.places import Sdk, detect_sdk, environment
from flatcar_prefix.system.python import launch

PASSED = (
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NOCOLOR",
    "NO_COLOR",
    "TERM",
    "XDG_CONFIG_HOME",
)
"""Variables that arrive, beside this program's own."""


def needed(sdk: Sdk, *, euid: int) -> bool:
    """Return whether what changes a prefix must go through sudo here.

    The container's directories are root's. On other machines the caller may have
    named places of its own, so it is tried as the caller.
    """
    return sdk.kind == "container" and euid != 0


def command(words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the command line that runs ``flatcar-prefix words`` again, as root.

    All in one, so that there is one prompt at the most. What is to arrive is named,
    since sudo's own configuration drops most variables.
    """
    kept = {k: v for k, v in environ.items() if k in PASSED or k.startswith("FLATCAR_PREFIX_")}
    assignments = [f"{name}={value}" for name, value in sorted(kept.items())]
    return ["sudo", "--", "env", *assignments, *launch("flatcar-prefix", *words)]


def become_root(words: Sequence[str]) -> None:
    """Run ``flatcar-prefix words`` as root in place of this process, where that is needed."""
    if not needed(detect_sdk(), euid=os.geteuid()):
        return
    if not shutil.which("sudo"):
        raise PrefixError("this needs root, and there is no sudo", hint="Run it again as root.")
    argv = command(words, environment())
    os.execvp(argv[0], argv)
