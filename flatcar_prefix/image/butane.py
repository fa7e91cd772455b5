# SPDX-License-Identifier: BSD-3-Clause
"""A Butane configuration that installs an image at the first boot and updates it later.

See the specifications ``flatcar`` 1.0.0 and ``fcos`` 1.5.0 of Butane. Butane translates the file to
an Ignition configuration, which a machine reads at its first boot.
"""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".butane.yaml"

_VARIANTS = {"fedora": ("fcos", "1.5.0")}
_FLATCAR = ("flatcar", "1.0.0")

IMAGES = "/var/lib/extensions.d"

_UPDATE = """\
[Unit]
Description=Update the system extension {name}
Wants=network-online.target
After=network-online.target
[Service]
Type=oneshot
ExecStart=/usr/lib/systemd/systemd-sysupdate -C {name} update
ExecStart=/usr/bin/systemd-sysext refresh
"""
_TIMER = """\
[Timer]
OnBootSec=15min
OnUnitActiveSec=1d
[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Machine:
    """What a machine installs."""

    name: str
    """The name of the extension."""
    os_id: str
    url: str
    """The directory of the image on the server, with a slash at its end."""
    image: str
    """The name of the image there, with its version."""
    sha256: str
    transfers: dict[str, str]
    """The texts of the transfer files, by their names."""
    keyring: bytes = b""
    """The public key that signs SHA256SUMS; empty for none."""
    certificate: str = ""
    """The certificate of a signed image (PEM); empty for none."""


def configuration(machine: Machine) -> str:
    """Return the text of the Butane configuration."""
    variant, version = _VARIANTS.get(machine.os_id, _FLATCAR)
    name = machine.name
    place = f"{IMAGES}/{name}/{machine.image}"
    files = [_remote(place, machine.url + machine.image, f"sha256-{machine.sha256}")]
    for transfer, text in machine.transfers.items():
        files.append(_inline(f"/etc/sysupdate.{name}.d/{transfer}", text))
    if machine.keyring:
        data = "data:;base64," + base64.b64encode(machine.keyring).decode("ascii")
        files.append(_remote("/etc/systemd/import-pubring.gpg", data))
    if machine.certificate:
        files.append(_inline(f"/etc/verity.d/{name}.crt", machine.certificate))
    units = [
        _unit("systemd-sysext.service", enabled=True),
        _unit(f"{name}-update.service", _UPDATE.format(name=name)),
        _unit(f"{name}-update.timer", _TIMER, enabled=True),
    ]
    lines = [
        "# Translate it to Ignition: butane --strict FILE",
        f"variant: {variant}",
        f"version: {version}",
        "storage:",
        "  files:",
        *_indented(files),
        "  links:",
        f"    - path: {_quoted(f'/etc/extensions/{name}.raw')}",
        f"      target: {_quoted(place)}",
        "      hard: false",
        "systemd:",
        "  units:",
        *_indented(units),
    ]
    return "\n".join(lines) + "\n"


def certificate_of(path: str) -> str:
    """Return the certificates in a PEM file, without a private key that it may have, too."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = Path(path).read_text(encoding="ascii", errors="replace")
    blocks = [block.partition(end)[0] for block in text.split(begin)[1:]]
    return "".join(f"{begin}{block}{end}\n" for block in blocks)


def _quoted(text: str) -> str:
    """Return a scalar of YAML; JSON strings are such scalars."""
    return json.dumps(text)


def _indented(blocks: list[str]) -> Iterator[str]:
    for block in blocks:
        yield textwrap.indent(block, "    ")


def _remote(path: str, source: str, sha256: str = "") -> str:
    lines = [f"- path: {_quoted(path)}", "  contents:", f"    source: {_quoted(source)}"]
    if sha256:
        lines += ["    verification:", f"      hash: {sha256}"]
    return "\n".join(lines)


def _inline(path: str, text: str) -> str:
    return "\n".join(
        [f"- path: {_quoted(path)}", "  contents:", "    inline: |", _text(text, "      ")]
    )


def _unit(name: str, text: str = "", *, enabled: bool = False) -> str:
    lines = [f"- name: {_quoted(name)}"]
    if enabled:
        lines.append("  enabled: true")
    if text:
        lines += ["  contents: |", _text(text, "    ")]
    return "\n".join(lines)


def _text(text: str, indent: str) -> str:
    return textwrap.indent(text.rstrip("\n"), indent)
