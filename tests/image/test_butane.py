# SPDX-License-Identifier: BSD-3-Clause
"""The Butane configuration of an image."""

from __future__ import annotations

import argparse
import base64
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from flatcar_prefix.cli.sysext import add_options, options
from flatcar_prefix.errors import UsageError
from flatcar_prefix.image import gpg
from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix.model import Prefix

URL = "https://example.org/images/"


def made(prefix: Prefix, directory: Path, **more: Any) -> dict[str, Any]:
    """Make an image; return the Butane configuration beside it."""
    image = directory / "hello.raw"
    wanted: dict[str, Any] = {"sysupdate": URL, "image_version": "1.2", **more}
    sysext(prefix, image, verify=False, butane=True, **wanted)
    found: dict[str, Any] = yaml.safe_load((directory / "hello.butane.yaml").read_text())
    return found


def files(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {file["path"]: file["contents"] for file in config["storage"]["files"]}


def test_a_machine_gets_the_image_and_its_updates(own_prefix: Prefix, tmp_path: Path) -> None:
    config = made(own_prefix, tmp_path)
    assert (config["variant"], config["version"]) == ("flatcar", "1.0.0")
    place = "/var/lib/extensions.d/hello/hello-1.2-x86-64.raw"
    image = (tmp_path / "hello.raw").read_bytes()
    found = files(config)
    assert found[place] == {
        "source": f"{URL}hello-1.2-x86-64.raw",
        "verification": {"hash": f"sha256-{hashlib.sha256(image).hexdigest()}"},
    }
    text = (tmp_path / "hello.transfer").read_text()
    for name in ("hello.conf", "hello.transfer"):
        assert found[f"/etc/sysupdate.hello.d/{name}"] == {"inline": text}
    assert len(found) == 3
    assert config["storage"]["links"] == [
        {"path": "/etc/extensions/hello.raw", "target": place, "hard": False}
    ]
    units = {unit["name"]: unit for unit in config["systemd"]["units"]}
    assert "systemd-sysupdate -C hello update" in units["hello-update.service"]["contents"]
    assert units["hello-update.timer"]["enabled"]
    assert "hello.butane.yaml" in (tmp_path / "SHA256SUMS").read_text()


def signed(sums: Path, _: str) -> Path:
    signature = sums.with_name(gpg.NAME)
    signature.write_bytes(b"signature")
    return signature


def test_the_keys_of_signed_images_and_updates_are_in_it(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpg, "check_key", lambda _: None)
    monkeypatch.setattr(gpg, "public_key", lambda _: b"\x99public\r\n\xff")
    monkeypatch.setattr(gpg, "sign", signed)
    key, certificate = tmp_path / "my.key", tmp_path / "my.crt"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mine"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    only = certificate.read_text()
    # The file may have the private key, too, which no other machine may get.
    certificate.write_text(f"Subject: CN = Käse\n{key.read_text()}{only}")
    config = made(
        own_prefix, tmp_path, gpg_key="me", sign_key=str(key), sign_cert=str(certificate)
    )  # fmt: skip
    found = files(config)
    assert found["/etc/verity.d/hello.crt"] == {"inline": only}
    source = found["/etc/systemd/import-pubring.gpg"]["source"]
    assert base64.b64decode(source.removeprefix("data:;base64,")) == b"\x99public\r\n\xff"
    assert "Verify=yes" in found["/etc/sysupdate.hello.d/hello.transfer"]["inline"]


def test_fedora_coreos_has_its_own_variant(own_prefix: Prefix, tmp_path: Path) -> None:
    config = made(own_prefix, tmp_path, os_id="fedora", version_id="40")
    assert (config["variant"], config["version"]) == ("fcos", "1.5.0")


def test_it_needs_a_url(own_prefix: Prefix, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the URL"):
        made(own_prefix, tmp_path, sysupdate="")
    assert not list(tmp_path.glob("hello*"))


def test_an_image_without_it_removes_the_old_one(own_prefix: Prefix, tmp_path: Path) -> None:
    made(own_prefix, tmp_path)
    sysext(own_prefix, tmp_path / "hello.raw", verify=False)
    assert not (tmp_path / "hello.butane.yaml").exists()
    assert "butane" not in (tmp_path / "SHA256SUMS").read_text()


def test_the_command_has_the_option() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert options(parser.parse_args(["--butane", "--sysupdate", URL]), {}).butane
