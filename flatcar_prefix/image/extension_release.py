# SPDX-License-Identifier: BSD-3-Clause
"""The release file, by which systemd decides whether an image fits a system.

See os-release(5) and systemd-sysext(8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flatcar_prefix.errors import UsageError

ANY = "_any"
DIRECTORY = "usr/lib/extension-release.d"

_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+@-]*")
_VALUE = re.compile(r"[a-z0-9._-]+")


@dataclass(frozen=True)
class Release:
    """What extension-release says of an image."""

    name: str
    """Of the image, without its suffix: the two must agree, else it is not merged."""
    architecture: str
    os_id: str = ANY
    sysext_level: str = ""
    version_id: str = ""
    reload_manager: bool = False

    @property
    def path(self) -> str:
        return f"{DIRECTORY}/extension-release.{self.name}"

    def fields(self) -> dict[str, str]:
        """Return what the file says, without empty fields."""
        fields = {
            "ID": self.os_id,
            "SYSEXT_LEVEL": self.sysext_level,
            "VERSION_ID": self.version_id,
            "ARCHITECTURE": self.architecture,
            "EXTENSION_RELOAD_MANAGER": "1" if self.reload_manager else "",
        }
        return {key: value for key, value in fields.items() if value}

    def text(self) -> str:
        return "".join(f"{key}={value}\n" for key, value in self.fields().items())


def check(release: Release) -> Release:
    """Return ``release`` when systemd can make sense of it, else raise :class:`UsageError`."""
    if not _NAME.fullmatch(release.name) or len(release.name) > 200:
        raise UsageError(
            f"{release.name!r} cannot be the name of a system extension",
            hint="Name the output with A-Z a-z 0-9 . _ + - only, such as python.raw.",
        )
    for option, value in (
        ("--os", release.os_id),
        ("--sysext-level", release.sysext_level),
        ("--version-id", release.version_id),
    ):
        if value and not _VALUE.fullmatch(value):
            raise UsageError(
                f"{option} {value!r} is not a value of os-release",
                hint="Use a-z, 0-9, dot, underscore and dash, as os-release does.",
            )
    if not release.os_id:
        raise UsageError("--os is empty", hint=f"Leave it out: {ANY} fits every system.")
    if release.os_id == ANY and (release.sysext_level or release.version_id):
        raise UsageError(
            "a level or a version says nothing of an image for any system",
            hint="Name the system with --os, such as --os flatcar.",
        )
    return release
