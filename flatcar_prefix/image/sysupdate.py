# SPDX-License-Identifier: BSD-3-Clause
"""How a system keeps an image up to date: a transfer file, and the name it downloads.

See sysupdate.d(5).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

from flatcar_prefix.errors import UsageError

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.~^+_]*")


def check_url(url: str) -> str:
    """Return ``url`` when images can be downloaded from there, with a slash at its end."""
    if not re.fullmatch(r"https?://[^\s%]+", url):
        raise UsageError(
            f"{url!r} is not where images can be downloaded from",
            hint="Give --sysupdate the http or https URL of the directory that will hold them.",
        )
    return url.rstrip("/") + "/"


def check_version(version: str) -> str:
    """Return ``version`` when systemd can tell it from the rest of a file name."""
    if not _VERSION.fullmatch(version):
        raise UsageError(
            f"{version!r} cannot be the version of an image",
            hint="Use letters, digits and . ~ ^ + _ only, such as 3.11.2.",
        )
    return version


def version_at(epoch: int) -> str:
    """Return the version of an image that nobody gave one: its time, which only grows."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y%m%d%H%M%S")


def image_name(name: str, version: str, architecture: str) -> str:
    """Return what the image is called on the server."""
    return f"{name}-{version}-{architecture}.raw"


def transfer(name: str, url: str, architecture: str) -> str:
    """Return the text of the transfer file for /etc/sysupdate.d.

    Images are kept below /var/lib, since /usr and /opt are read-only once an image is merged;
    the one in use has the symlink in /etc/extensions, whose name is that of the release file.
    """
    pattern = image_name(name, "@v", architecture)
    return f"""\
# Copy to /etc/sysupdate.{name}.d/{name}.conf, then: systemd-sysupdate -C {name} update
[Transfer]
# SHA256SUMS beside the images is not signed. With SHA256SUMS.gpg there, set this to yes.
Verify=no

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
