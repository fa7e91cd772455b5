# SPDX-License-Identifier: BSD-3-Clause
"""The extension-release file, which systemd compares with the os-release of a system.

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
    """The content of an extension-release file."""

    name: str
    """The name of the image without its suffix. systemd merges only images whose file has it."""
    architecture: str
    os_id: str = ANY
    sysext_level: str = ""
    version_id: str = ""
    reload_manager: bool = False
    image_version: str = ""
    """The version of the extension itself."""
    title: str = ""
    home_url: str = ""
    restart_units: tuple[str, ...] = ()
    """The units that systemd restarts after merging, and stops after unmerging."""

    @property
    def path(self) -> str:
        return f"{DIRECTORY}/extension-release.{self.name}"

    def fields(self) -> dict[str, str]:
        """Return the fields of the file, without empty ones."""
        fields = {
            "ID": self.os_id,
            "SYSEXT_LEVEL": self.sysext_level,
            "VERSION_ID": self.version_id,
            "ARCHITECTURE": self.architecture,
            "EXTENSION_RELOAD_MANAGER": "1" if self.reload_manager else "",
            "EXTENSION_RESTART_UNITS": " ".join(self.restart_units),
            "SYSEXT_ID": self.name,
            "SYSEXT_VERSION_ID": self.image_version,
            "SYSEXT_NAME": self.title,
            "SYSEXT_HOME_URL": self.home_url,
        }
        return {key: value for key, value in fields.items() if value}

    def text(self) -> str:
        return "".join(f"{key}={_quoted(value)}\n" for key, value in self.fields().items())


def _quoted(value: str) -> str:
    """Return a value in quotes if os-release(5) asks for them."""
    if re.fullmatch(r"[A-Za-z0-9._-]+", value):
        return value
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def check(release: Release) -> Release:
    """Return ``release`` if all its values are valid, else raise :class:`UsageError`."""
    if not _NAME.fullmatch(release.name) or len(release.name) > 200:
        raise UsageError(
            f"{release.name!r} cannot be the name of a system extension",
            hint="Use only A-Z a-z 0-9 . _ + - in the output's name, such as python.raw.",
        )
    for option, value in (
        ("--os", release.os_id),
        ("--sysext-level", release.sysext_level),
        ("--version-id", release.version_id),
    ):
        if value and not _VALUE.fullmatch(value):
            raise UsageError(
                f"{option} {value!r} is not a value of os-release",
                hint="Use only a-z, 0-9, dot, underscore and dash, as in os-release.",
            )
    if re.search(r"[\x00-\x1f\x7f]", release.title):
        raise UsageError(
            f"--title {release.title!r} has control characters", hint="Use one line of text."
        )
    if release.home_url and not re.fullmatch(r"https?://[^\s\"\\$`]+", release.home_url):
        raise UsageError(
            f"--home-url {release.home_url!r} is not a http or https URL",
            hint="Use the URL of the software's home page.",
        )
    if not release.os_id:
        raise UsageError("--os is empty", hint=f"Remove --os; the default {ANY} fits all systems.")
    if release.os_id == ANY and (release.sysext_level or release.version_id):
        raise UsageError(
            "--sysext-level and --version-id require --os",
            hint="Set the system with --os, such as --os flatcar.",
        )
    return release
