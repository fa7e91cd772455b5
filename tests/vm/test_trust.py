# SPDX-License-Identifier: BSD-3-Clause
"""Signed images and signed updates on a booted Debian 13. One boot runs all checks."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import shipping_prefix
import virtual_machine as vm

from flatcar_prefix.image import gpg, sha256sums
from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix.model import Prefix

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.needs_root,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the machine is an x86_64"),
]

TIMEOUT = int(os.environ.get("FLATCAR_PREFIX_VM_TIMEOUT", "1500"))
URL = "http://127.0.0.1:8000/"
MINE, THEIRS = "mine@example.org", "theirs@example.org"


def pair(directory: Path, name: str) -> dict[str, str]:
    """Make a key and its certificate, and return the options to sign with them."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return {"sign_key": os.fspath(key), "sign_cert": os.fspath(certificate)}


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A keyring with two keys, below a short path: gpg-agent's socket has a limit."""
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        monkeypatch.setenv("GNUPGHOME", home)
        for key in (MINE, THEIRS):
            words = ["--passphrase", "", "--quick-generate-key", key, "ed25519", "sign", "never"]
            subprocess.run(["gpg", "--batch", *words], check=True, capture_output=True)
        public = Path(home, "import-pubring.gpg")
        subprocess.run(["gpg", "--batch", "-o", public, "--export", MINE], check=True)
        yield public
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False)


def altered(image: bytes, at: int) -> bytes:
    """Return an image with one changed bit in the byte ``at``."""
    changed = bytearray(image)
    changed[at] ^= 1
    return bytes(changed)


def signed_images(prefix: Prefix, base: Path) -> dict[str, Path]:
    """Return images for a policy that wants signatures, and the certificate to trust."""
    mine, theirs = pair(base, "mine"), pair(base, "theirs")

    def made(name: str, **options: str) -> Path:
        (base / name).mkdir()
        return sysext(prefix, base / name / "hello.raw", verify=False, **options)

    images = {
        "signed.raw": made("signed", **mine),
        "signed-erofs.raw": made("signed-erofs", **mine, format="erofs"),
        "other-key.raw": made("other-key", **theirs),
        "plain.raw": made("plain"),
        "altered.raw": base / "altered.raw",
    }
    # The file system is in the first partition, and its files are at its start.
    at = (1 << 20) + images["plain.raw"].stat().st_size // 2
    images["altered.raw"].write_bytes(altered(images["signed.raw"].read_bytes(), at))
    return {**images, "mine.crt": base / "mine.crt"}


def server(prefix: Prefix, www: Path) -> Path:
    """Make a directory for each state of the server, with two versions at most."""
    before: Path | None = None
    for version, state, key in (
        ("1", "1", MINE),
        ("2", "2", MINE),
        ("3", "other-key", THEIRS),
        ("3", "altered", MINE),
        ("3", "3", MINE),
        ("4", "4", MINE),
    ):
        place = www / state
        place.mkdir(parents=True)
        if before:
            for name in (f"hello-{before.name}-x86-64.raw", sha256sums.NAME, gpg.NAME):
                (place / name).write_bytes((before / name).read_bytes())
        (prefix.final.eroot / "usr/share/hello/version").write_text(f"{version}\n")
        image = sysext(
            prefix,
            place / "hello.raw",
            verify=False,
            units=True,
            reload_manager=True,
            os_id="flatcar",
            sysext_level="1.0",
            sysupdate=URL,
            image_version=version,
            gpg_key=key,
        )
        image.unlink()
        if state.isdigit():
            before = place
    image = www / "altered/hello-3-x86-64.raw"
    image.write_bytes(altered(image.read_bytes(), image.stat().st_size // 2))
    return www


def test_a_machine_merges_and_installs_only_what_a_trusted_key_signed(
    tmp_path: Path, keyring: Path
) -> None:
    prefix = shipping_prefix.make(tmp_path / "prefix", name="hello")
    console = vm.boot(
        vm.images("trixie"),
        scenario="trixie.sh",
        files={
            **signed_images(prefix, tmp_path),
            "www": server(prefix, tmp_path / "www"),
            "import-pubring.gpg": keyring,
            "busybox": Path(vm.merging.BUSYBOX),
        },
        work=tmp_path / "machine",
        log=vm.cache_dir() / "logs/trixie.log",
        timeout=TIMEOUT,
    )
    vm.passed(console, 46)
