# SPDX-License-Identifier: BSD-3-Clause
"""The signature of SHA256SUMS, made by a key of a keyring for this test."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix.model import Prefix

KEY = "images@example.org"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short path, because the name of gpg-agent's socket has a limit."""
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        monkeypatch.setenv("GNUPGHOME", home)
        gpg("--passphrase", "", "--quick-generate-key", KEY, "ed25519", "sign", "never")
        yield Path(home)
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False)


def gpg(*words: str | Path) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(["gpg", "--batch", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result


def verifies(directory: Path, keyring: Path) -> bool:
    """Return gpgv's output with the exported public key, as in systemd-sysupdate."""
    public = keyring / "import-pubring.gpg"
    gpg("--yes", "--output", public, "--export", KEY)
    words = ["gpgv", "--keyring", public, "SHA256SUMS.gpg", "SHA256SUMS"]
    result = subprocess.run(words, cwd=directory, capture_output=True, text=True)
    print(result.stderr)
    return result.returncode == 0


def test_the_signature_verifies_and_follows_each_new_image(
    own_prefix: Prefix, tmp_path: Path, keyring: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("one", "two"):
        sysext(own_prefix, out / f"{name}.tar", format="tar", verify=False, gpg_key=KEY)
        assert verifies(out, keyring)
    assert "SHA256SUMS.gpg" not in (out / "SHA256SUMS").read_text()
    with (out / "SHA256SUMS").open("a") as file:
        file.write("# changed\n")
    assert not verifies(out, keyring)
    # Without a key, a signature that does not fit is removed.
    sysext(own_prefix, out / "two.tar", format="tar", verify=False)
    assert not (out / "SHA256SUMS.gpg").exists()


def test_the_transfer_asks_for_the_signature(
    own_prefix: Prefix, tmp_path: Path, keyring: Path
) -> None:
    options = {"format": "ext4", "verify": False, "sysupdate": "https://example.org/"}
    sysext(own_prefix, tmp_path / "test.raw", **options, gpg_key=KEY)
    assert "\nVerify=yes\n" in (tmp_path / "test.conf").read_text()
    sysext(own_prefix, tmp_path / "test.raw", **options)
    assert "\nVerify=no\n" in (tmp_path / "test.conf").read_text()


def test_a_key_that_is_not_there_is_said_before_anything_is_made(
    own_prefix: Prefix, tmp_path: Path, keyring: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(PrefixError, match="no secret key 'nobody@") as error:
        sysext(own_prefix, out / "x.tar", format="tar", verify=False, gpg_key="nobody@example.org")
    assert "\n" not in str(error.value)
    assert list(out.iterdir()) == []
