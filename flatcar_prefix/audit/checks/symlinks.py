# SPDX-License-Identifier: BSD-3-Clause
"""Checks of symbolic links."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from flatcar_prefix.audit.checks.build_paths import Forbidden
from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.tree import MISSING, OUTSIDE, Resolver
from flatcar_prefix.links import LOOP
from flatcar_prefix.prefix.not_shipped import PORTAGE, rule_of

_OUT_OF_PROC = re.compile(r"/proc/(?:self|thread-self|\d+)/(?:root|cwd)(?:/|\Z)")
"""Links of the kernel into the host's files."""

OF_THE_KERNEL = ("/dev/", "/proc/", "/sys/")
"""File systems of the kernel, which each running system mounts outside the prefix."""


def check_link(
    resolver: Resolver, forbidden: Forbidden, path: str, target: str
) -> Iterator[Finding]:
    """Yield findings about the link at ``path``, whose directories must not be links."""
    tree = resolver.tree
    absolute = target.startswith("/")
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    whole = "/" + whole.lstrip("/")
    if absolute and whole.startswith(OF_THE_KERNEL) and not _OUT_OF_PROC.match(whole):
        return
    if absolute and forbidden.names(whole):
        yield Finding("link-build-path", path, f"points to {target}")
        return
    if not tree.inside(whole):
        code = "link-outside" if absolute else "link-escapes"
        yield Finding(code, path, f"points to {target}, outside the prefix")
        return
    resolved = resolver.resolve(path)
    if resolved.failure == LOOP:
        yield Finding("link-loop", path, f"points to {target}, which leads into a loop")
    elif resolved.failure == MISSING:
        yield Finding("link-dangling", path, f"points to {target}, which does not exist")
    elif resolved.ok and _stays(tree.relative(resolved.path)):
        yield Finding("link-dangling", path, f"points to {target}, which is not shipped")
    elif resolved.failure == OUTSIDE and not _passes_link(resolver, whole):
        message = f"points to {target}, which leads to {resolved.path}, outside the prefix"
        yield Finding("link-escapes", path, message)


def _stays(path: str) -> bool:
    """Return whether Portage's data on the build machine contains ``path`` of the prefix."""
    parts = path.split("/")
    return any(rule_of("/".join(parts[: n + 1]), (PORTAGE,)) for n in range(min(4, len(parts))))


def _passes_link(resolver: Resolver, path: str) -> bool:
    """Return whether ``path`` is a link itself and therefore has its own finding."""
    return bool(resolver.readlink(path))
