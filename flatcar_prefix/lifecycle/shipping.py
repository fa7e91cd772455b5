# SPDX-License-Identifier: BSD-3-Clause
"""Say at set-up, before the build, what will prevent the use of a prefix on a target."""

from __future__ import annotations

from collections.abc import Iterator

from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.progress import Progress

MERGED = ("/usr", "/opt")
"""The directories that systemd-sysext merges."""

LINKED = "/usr/local"
"""A link to /var/usrlocal on Fedora CoreOS and Silverblue; an image cannot merge into it."""


def tell(prefix: Prefix, say: Progress) -> None:
    """Report the limits of the EPREFIX."""
    for warning in warnings(prefix):
        say.warn(warning)
    if prefix.eprefix.startswith(f"{LINKED}/"):
        say(
            f"{LINKED} is a link on some systems (Fedora CoreOS, Silverblue), which cannot merge"
            " this prefix; a path below /opt works on all"
        )


def warnings(prefix: Prefix) -> Iterator[str]:
    """Yield a line for each problem of the EPREFIX."""
    if not prefix.eprefix.startswith(tuple(f"{place}/" for place in MERGED)):
        yield (
            f"{prefix.eprefix} is outside {' and '.join(MERGED)}, so systemd-sysext cannot merge"
            " an image of this prefix; ship it as a tar file or a directory"
        )
    for other in registry.list_prefixes():
        if other.eprefix == prefix.eprefix and other.name != prefix.name:
            yield (
                f"the prefix {other.id} has the same path {prefix.eprefix}; a target can have only"
                " one of both"
            )
