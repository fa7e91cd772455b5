# SPDX-License-Identifier: BSD-3-Clause
"""Choose between the checkout's C library and this program's own.

A checkout of Flatcar has glibc, baselayout and the kernel's headers, but some of their files are
only on Gentoo's and Flatcar's servers. If they cannot be fetched, a prefix uses the packages of
this program's own repository, whose files every machine with Debian's archive can fetch.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.config.root import LIBC, has_in_checkout
from flatcar_prefix.emerge.death import last_words
from flatcar_prefix.errors import BuildError
from flatcar_prefix.lifecycle.configure import reconfigure
from flatcar_prefix.lifecycle.stages import Stage, Step, log_of, run_stage
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.progress import Progress

FETCH = Stage(
    "fetch",
    "files of the C library",
    # The smallest file first, so that a failure costs the least time.
    (
        Step(("sys-apps/baselayout",), ("--fetchonly", "--nodeps")),
        Step((LIBC,), ("--fetchonly", "--nodeps")),
        Step((LIBC,), ("--fetchonly",)),
        Step(("virtual/os-headers",), ("--fetchonly",)),
    ),
)
"""Fetches what the first stages need, before one of them builds anything."""


def decide(prefix: Prefix, *, say: Progress) -> Prefix:
    """Return the prefix with :attr:`Prefix.own_libc` set if the checkout's cannot be fetched.

    The decision is recorded with the configuration, and stays for the life of the prefix. A
    prefix whose bootstrap has begun does not change, nor does one on Gentoo, which has its own
    mirrors.
    """
    if (
        prefix.bootstrap != "source"
        or prefix.native_host
        or prefix.own_libc
        or prefix.stages_done
        or not has_in_checkout(prefix, LIBC)
    ):
        return prefix
    try:
        run_stage(prefix, FETCH, label="fetching the files of the checkout's C library", say=say)
    except BuildError:
        log = log_of(prefix, FETCH)
        say(
            "C library: this program's own glibc, baselayout and kernel headers, because those of"
            f" the checkout cannot be had: {reason(log)}; log: {log}"
        )
        # Set-up has printed the notices of the configuration already.
        return reconfigure(prefix, replace(prefix, own_libc=True))
    say("C library: the checkout's")
    return prefix


def reason(log: Path) -> str:
    """Return why emerge could not fetch, by its log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    if found := re.search(r"Couldn't download '([^']+)'", text):
        return f"no place has {found[1]}"
    return last_words(log) or "emerge failed"
