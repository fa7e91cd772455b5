# SPDX-License-Identifier: BSD-3-Clause
"""Signed disk images: partition table, dm-verity hashes, signature, and wrong keys."""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import struct
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import shipping_prefix

from flatcar_prefix.cli.sysext import add_options, options
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.image.verity import FORMATS as SIGNED
from flatcar_prefix.prefix.model import Prefix

ROOT = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
ROOT_VERITY = uuid.UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")
ROOT_VERITY_SIG = uuid.UUID("41092b05-9fc8-4523-994f-2def0408b176")

PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


@dataclass(frozen=True)
class Part:
    """A partition as the table has it."""

    kind: uuid.UUID
    identifier: uuid.UUID
    content: bytes


def run(*words: str | os.PathLike[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(words, env={**os.environ, "PATH": PATH}, capture_output=True, **more)


def pair(directory: Path, name: str = "mine", *options: str) -> tuple[str, str]:
    """Make a key and its certificate and return their files."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", f"/CN={name}"]
    made = run(*words, *(options or ("-nodes",)), "-keyout", key, "-out", certificate)
    assert made.returncode == 0, made.stderr
    return os.fspath(key), os.fspath(certificate)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return pair(tmp_path_factory.mktemp("keys"))


def partitions(image: Path) -> list[Part]:
    """Read the partition table as the UEFI specification describes it."""
    data = image.read_bytes()
    assert data[512:520] == b"EFI PART"
    (table,) = struct.unpack_from("<Q", data, 512 + 72)
    parts = []
    for number in range(128):
        at = table * 512 + number * 128
        first, last = struct.unpack_from("<QQ", data, at + 32)
        if first:
            kind, identifier = (uuid.UUID(bytes_le=data[at + n : at + n + 16]) for n in (0, 16))
            parts.append(Part(kind, identifier, data[first * 512 : (last + 1) * 512]))
    return parts


def signed(prefix: Prefix, image: Path, keys: tuple[str, str], **more: Any) -> Path:
    image.parent.mkdir(exist_ok=True)
    return sysext(
        prefix, image, verify=False, sign_key=keys[0], sign_cert=keys[1], **{"level": 1, **more}
    )


@pytest.mark.parametrize("form", SIGNED)
def test_the_hashes_protect_the_data_and_the_key_signs_their_root(
    own_prefix: Prefix, tmp_path: Path, keys: tuple[str, str], form: str
) -> None:
    image = signed(own_prefix, tmp_path / "out/test.raw", keys, format=form)
    root, hashes, signature = partitions(image)
    assert [root.kind, hashes.kind, signature.kind] == [ROOT, ROOT_VERITY, ROOT_VERITY_SIG]
    entry = json.loads((tmp_path / "out/test.manifest.json").read_text())["image"]["verity"]
    root_hash = entry["root_hash"]
    assert root.identifier.hex + hashes.identifier.hex == root_hash

    data, tree = tmp_path / "data", tmp_path / "tree"
    data.write_bytes(root.content)
    tree.write_bytes(hashes.content)
    assert run("veritysetup", "verify", data, tree, root_hash).returncode == 0
    changed = bytearray(root.content)
    changed[len(changed) // 2] ^= 1
    data.write_bytes(changed)
    assert run("veritysetup", "verify", data, tree, root_hash).returncode != 0

    document = json.loads(signature.content.rstrip(b"\0"))
    assert document["rootHash"] == root_hash
    assert document["certificateFingerprint"] == entry["certificate_sha256"]
    assert is_signature_of(root_hash, document["signature"], keys[1], tmp_path)
    assert not is_signature_of(root_hash[::-1], document["signature"], keys[1], tmp_path)


def is_signature_of(text: str, signature: str, certificate: str, tmp_path: Path) -> bool:
    (tmp_path / "text").write_text(text)
    (tmp_path / "p7s").write_bytes(base64.b64decode(signature))
    words = ["openssl", "smime", "-verify", "-binary", "-inform", "der", "-noverify", "-nointern"]
    more = ["-in", tmp_path / "p7s", "-content", tmp_path / "text", "-certfile", certificate]
    return run(*words, *more).returncode == 0


def test_the_file_system_inside_is_that_of_a_plain_image(
    own_prefix: Prefix, tmp_path: Path, keys: tuple[str, str]
) -> None:
    image = signed(own_prefix, tmp_path / "signed/test.raw", keys)
    (tmp_path / "plain").mkdir()
    plain = sysext(own_prefix, tmp_path / "plain/test.raw", verify=False, level=1)
    assert partitions(image)[0].content == plain.read_bytes()


@pytest.mark.parametrize("form", SIGNED)
def test_the_same_content_and_key_give_the_same_bytes(
    own_prefix: Prefix, tmp_path: Path, keys: tuple[str, str], form: str
) -> None:
    first = signed(own_prefix, tmp_path / "1/test.raw", keys, format=form)
    other = shipping_prefix.copied(own_prefix, tmp_path / "copy")
    second = signed(other, tmp_path / "2/test.raw", keys, format=form)
    assert first.read_bytes() == second.read_bytes()


def test_an_image_for_arm64_has_the_partition_types_of_arm64(
    tmp_path: Path, keys: tuple[str, str]
) -> None:
    prefix = shipping_prefix.make(tmp_path / "arm", board="arm64-usr", compiled=False)
    parts = partitions(signed(prefix, tmp_path / "out/test.raw", keys))
    assert parts[0].kind == uuid.UUID("b921b045-1df0-41c3-af44-4c6f280d3fae")
    assert parts[2].kind == uuid.UUID("6db69de6-29f4-4758-a7a5-962190f00ce3")


@pytest.mark.skipif(not shutil.which("systemd-dissect"), reason="systemd-dissect is missing")
@pytest.mark.needs_root
def test_systemd_finds_the_partitions(
    own_prefix: Prefix, tmp_path: Path, keys: tuple[str, str]
) -> None:
    image = signed(own_prefix, tmp_path / "out/test.raw", keys)
    result = run("systemd-dissect", "--json=short", image)
    assert result.returncode == 0, result.stderr
    table = json.loads(result.stdout)["mounts"]
    assert [(each["designator"], each["verity"]) for each in table] == [
        ("root", "signed"),
        ("root-verity", None),
        ("root-verity-sig", None),
    ]


def test_the_options_of_the_command_reach_the_image(keys: tuple[str, str]) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    made = options(parser.parse_args(["--sign-key", keys[0], "--sign-cert", keys[1]]), {})
    assert (made.sign_key, made.sign_cert) == keys


# --- a key in a token

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
IN_TOKEN = "pkcs11:token=mine;object=signer;type=private"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A key in a token of SoftHSM, with its PIN in a file, and a certificate."""
    if not shutil.which("softhsm2-util"):
        pytest.skip("softhsm2 is not installed")
    place = tmp_path / "token"
    place.mkdir()
    config, pin, certificate = place / "conf", place / "pin", place / "mine.crt"
    config.write_text(f"directories.tokendir = {place}\nobjectstore.backend = file\n")
    pin.write_text("5678")
    monkeypatch.setenv("SOFTHSM2_CONF", os.fspath(config))
    key = f"{IN_TOKEN};pin-source=file:{pin}"
    for words in (
        ("softhsm2-util", "--init-token", "--free", "--label=mine", "--so-pin=1234", "--pin=5678"),
        ("pkcs11-tool", "--module", MODULE, "--login", "--pin=5678", "--token-label=mine",
         "--keypairgen", "--key-type=rsa:2048", "--label=signer", "--id=01"),
        ("openssl", "req", "-x509", "-engine", "pkcs11", "-keyform", "engine", "-key", key,
         "-subj", "/CN=mine", "-out", os.fspath(certificate)),
    ):  # fmt: skip
        done = run(*words)
        assert done.returncode == 0, done.stderr
    return key, os.fspath(certificate)


def test_a_key_in_a_token_signs_an_image(
    own_prefix: Prefix, tmp_path: Path, token: tuple[str, str]
) -> None:
    image = signed(own_prefix, tmp_path / "out/test.raw", token)
    document = json.loads(partitions(image)[2].content.rstrip(b"\0"))
    assert is_signature_of(document["rootHash"], document["signature"], token[1], tmp_path)
    again = signed(own_prefix, tmp_path / "again/test.raw", token)
    assert image.read_bytes() == again.read_bytes()


def test_a_key_that_a_token_does_not_have_is_named_without_the_pin(
    own_prefix: Prefix, tmp_path: Path, token: tuple[str, str]
) -> None:
    key = "pkcs11:token=mine;object=other;pin-value=5678"
    with pytest.raises(PrefixError, match="no private key at pkcs11:token=mine") as error:
        signed(own_prefix, tmp_path / "out/test.raw", (key, token[1]))
    assert "5678" not in str(error.value) + error.value.hint
    assert os.listdir(tmp_path / "out") == []


# --- wrong keys: one line, and no file


@pytest.mark.parametrize("form", sorted(set(FORMATS) - set(SIGNED)))
def test_a_format_that_cannot_be_signed_is_refused(
    own_prefix: Prefix, tmp_path: Path, keys: tuple[str, str], form: str
) -> None:
    with pytest.raises(UsageError, match=f"cannot have the format {form}"):
        signed(own_prefix, tmp_path / f"test{FORMATS[form].suffix}", keys, format=form, level=None)


@pytest.mark.parametrize("given", ["key", "certificate"])
def test_a_key_without_its_certificate_is_wrong_usage(
    own_prefix: Prefix, tmp_path: Path, keys: tuple[str, str], given: str
) -> None:
    key, certificate = keys
    with pytest.raises(UsageError, match="is missing"):
        signed(
            own_prefix,
            tmp_path / "out/test.raw",
            (key if given == "key" else "", certificate if given == "certificate" else ""),
        )


@pytest.mark.parametrize(
    "wrong",
    ["no-key", "no-certificate", "swapped", "text", "directory", "another", "encrypted", "token"],
)
def test_a_wrong_key_is_said_in_one_line_before_anything_is_made(
    own_prefix: Prefix, tmp_path: Path, keys: tuple[str, str], wrong: str
) -> None:
    key, certificate = keys
    text = tmp_path / "text"
    text.write_text("hello\n")
    theirs = pair(tmp_path, "theirs")
    cases = {
        "no-key": ("/nonexistent.key", certificate),
        "no-certificate": (key, "/nonexistent.crt"),
        "swapped": (certificate, key),
        "text": (os.fspath(text), certificate),
        "directory": (os.fspath(tmp_path), certificate),
        "another": (key, theirs[1]),
        "encrypted": pair(tmp_path, "secret", "-passout", "pass:secret"),
        "token": ("pkcs11:token=mine", certificate),
    }
    with pytest.raises(PrefixError) as error:
        signed(own_prefix, tmp_path / "out/test.raw", cases[wrong])
    assert "\n" not in str(error.value)
    assert error.value.hint
    assert os.listdir(tmp_path / "out") == []
