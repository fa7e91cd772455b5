# SPDX-License-Identifier: BSD-3-Clause
"""Symbolic links."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from flatcar_prefix.audit.checks.build_paths import Forbidden
from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.tree import LOOP, MISSING, OUTSIDE, Resolver

OF_THE_KERNEL = ("/dev/", "/proc/", "/sys/")
"""What is there on every running system, and in no prefix."""


def check_link(
    resolver: Resolver, forbidden: Forbidden, path: str, target: str
) -> Iterator[Finding]:
    """Yield what is wrong with the link at ``path``, which has no link among its directories."""
    tree = resolver.tree
    absolute = target.startswith("/")
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if absolute and target.startswith(OF_THE_KERNEL):
        return
    if absolute and forbidden.names(whole):
        yield Finding("link-build-path", path, f"leads to {target}")
        return
    if not tree.inside(whole):
        code = "link-outside" if absolute else "link-escapes"
        yield Finding(code, path, f"leads to {target}, outside the prefix")
        return
    resolved = resolver.resolve(path)
    if resolved.failure == LOOP:
        yield Finding("link-loop", path, f"leads to {target}, and back")
    elif resolved.failure == MISSING:
        yield Finding("link-dangling", path, f"leads to {target}, which is not there")
    elif resolved.failure == OUTSIDE and not _passes_link(resolver, whole):
        yield Finding("link-escapes", path, f"leads to {target}, that is {resolved.path}")


def _passes_link(resolver: Resolver, path: str) -> bool:
    """Return whether ``path`` is a link itself, which has a finding of its own then."""
    return bool(resolver.readlink(path))
