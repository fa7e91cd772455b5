# SPDX-License-Identifier: BSD-3-Clause
"""Rules for the files of a prefix that stay on the build machine.

The audit skips these files and images omit them; both use these rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Rule:
    """Files that are not shipped, and why.

    A pattern is relative to EPREFIX; ``*`` stays within one part of a path, ``**`` is
    any number of parts. A pattern that matches a directory includes its contents.
    """

    name: str
    why: str
    patterns: tuple[str, ...]

    @cached_property
    def regex(self) -> re.Pattern[str]:
        words = (f"(?:{translate(pattern)})" for pattern in self.patterns)
        return re.compile("|".join(words), re.DOTALL)


def rule_of(path: str, rules: Iterable[Rule]) -> str:
    """Return the name of the first rule that matches ``path``, relative to EPREFIX, or ``""``."""
    return next((rule.name for rule in rules if rule.regex.fullmatch(path)), "")


def translate(pattern: str) -> str:
    """Return the regular expression of a pattern."""
    out, depth, i = "", 0, 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**/", i):
            out += r"(?:[^/]+/)*"
            i += 3
            continue
        if pattern.startswith("**", i):
            out += r".*"
            i += 2
            continue
        if char == "*":
            out += r"[^/]*"
        elif char == "?":
            out += r"[^/]"
        elif char == "{" and "}" in pattern[i:]:
            out, depth = out + "(?:", depth + 1
        elif char == "}" and depth:
            out, depth = out + ")", depth - 1
        elif char == "," and depth:
            out += "|"
        else:
            out += re.escape(char)
        i += 1
    return out


PORTAGE = Rule(
    "portage",
    "Portage's own data; nothing reads it at run time",
    (
        "etc/portage",
        "etc/config-archive",
        "etc/make.conf",
        "etc/make.globals",
        "etc/make.profile",
        "etc/env.d",
        "etc/._cfg*",
        "etc/**/._cfg*",
        "var/db/pkg",
        "var/db/repos",
        "var/lib/portage",
        "var/lib/gentoo",
        "usr/lib/portage",
    ),
)

CACHE = Rule(
    "cache",
    "caches, logs and temporary files of the build machine",
    ("var/cache/*", "var/log/*", "var/tmp/*", "tmp/*", "run/*", "**/.cache"),
)

STAYING = (PORTAGE, CACHE)
"""The rules in matching order."""
