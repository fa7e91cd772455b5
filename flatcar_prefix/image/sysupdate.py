# SPDX-License-Identifier: BSD-3-Clause
"""The transfer file for systemd-sysupdate, and the name of the image on the server.

See sysupdate.d(5).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

from flatcar_prefix.errors import UsageError

SUFFIXES = (".conf", ".transfer")
"""The suffixes of a transfer file: for all versions of systemd, and for 257 and newer."""

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.~^+_]*")


_SIGNED = """\
# The public key must be in /etc/systemd/import-pubring.gpg (or .pgp, from systemd 261 on).
Verify=yes"""
_UNSIGNED = """\
# SHA256SUMS on the server is not signed. If you add SHA256SUMS.gpg, set this to yes.
Verify=no"""


def check_url(url: str) -> str:
    """Return ``url`` with a trailing slash; raise :class:`UsageError` if it is not a http URL."""
    if not re.fullmatch(r"https?://[^\s%]+", url):
        raise UsageError(
            f"--sysupdate {url!r} is not a http or https URL",
            hint="Use the URL of the server directory for the images, without spaces and %.",
        )
    return url.rstrip("/") + "/"


def check_version(version: str) -> str:
    """Return ``version`` if it fits @v of sysupdate.d(5), else raise :class:`UsageError`."""
    if not _VERSION.fullmatch(version):
        raise UsageError(
            f"{version!r} cannot be the version of an image",
            hint="Use only letters, digits and . ~ ^ + _, such as 3.11.2.",
        )
    return version


def version_at(epoch: int) -> str:
    """Return the default version of an image: ``epoch`` in UTC as YYYYMMDDHHMMSS."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y%m%d%H%M%S")


def image_name(name: str, version: str, architecture: str) -> str:
    """Return the name of the image on the server."""
    return f"{name}-{version}-{architecture}.raw"


def transfer(name: str, url: str, architecture: str, *, signed: bool = False) -> str:
    """Return the text of the transfer file for sysupdate.d(5).

    ``signed`` is whether SHA256SUMS on the server has a signature.

    The images are in /var/lib, because /usr and /opt are read-only on a system with merged
    images. The symlink in /etc/extensions points to the current image. Its name matches the
    name in the extension-release file.
    """
    pattern = image_name(name, "@v", architecture)
    verify = _SIGNED if signed else _UNSIGNED
    return f"""\
# Copy to /etc/sysupdate.{name}.d/{name}.transfer (before systemd 257: {name}.conf), then:
# mkdir -p /etc/extensions && systemd-sysupdate -C {name} update
[Transfer]
{verify}

[Source]
Type=url-file
Path={url}
MatchPattern={pattern}

[Target]
InstancesMax=3
Type=regular-file
Path=/var/lib/extensions.d/{name}
MatchPattern={pattern}
Mode=0644
CurrentSymlink=/etc/extensions/{name}.raw
"""
