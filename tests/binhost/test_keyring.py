# SPDX-License-Identifier: BSD-3-Clause
"""Keys are made, published and trusted with the real GnuPG."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from flatcar_prefix.binhost import keyring
from flatcar_prefix.errors import PrefixError, UsageError


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A directory whose path is short enough for the sockets of GnuPG."""
    with TemporaryDirectory(prefix="fp-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def key(short: Path) -> tuple[str, Path]:
    fingerprint = keyring.make(short / "signing", "flatcar-prefix pool test")
    keyring.export(short / "signing", fingerprint, short / "key.asc")
    return fingerprint, short / "key.asc"


def test_a_prefix_trusts_a_published_key(tmp_path: Path, key: tuple[str, Path]) -> None:
    fingerprint, file = key
    assert keyring.check_file(file)[0].user == "flatcar-prefix pool test"
    home = tmp_path / ("long" * 30) / "keyring"
    assert keyring.install(home, [file]) == (fingerprint,)
    assert [one.fingerprint for one in keyring.trusted(home)] == [fingerprint]
    assert home.stat().st_mode & 0o777 == 0o755
    signed = subprocess.run(
        ["gpg", "--homedir", file.parent / "signing", "--batch", "--sign", "--armor"],
        input=b"text", capture_output=True, check=True,
    ).stdout  # fmt: skip
    keyring.stop_agent(file.parent / "signing")
    said = subprocess.run(
        ["gpg", "--homedir", home, "--batch", "--no-auto-check-trustdb", "--status-fd", "2",
         "--verify"],
        input=signed, capture_output=True, check=True,
    ).stderr  # fmt: skip
    assert b"[GNUPG:] TRUST_ULTIMATE" in said

    keyring.keep(home, {fingerprint})
    assert keyring.trusted(home)
    keyring.keep(home, ())
    assert not keyring.trusted(home)


def test_making_a_key_again_returns_the_same(short: Path, key: tuple[str, Path]) -> None:
    assert keyring.make(short / "signing", "another") == key[0]


def test_other_files_are_refused(short: Path, key: tuple[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no key\n")
    secret = tmp_path / "secret"
    secret.write_bytes(
        subprocess.run(
            ["gpg", "--homedir", short / "signing", "--batch", "--export-secret-keys"],
            capture_output=True,
            check=True,
        ).stdout
    )
    keyring.stop_agent(short / "signing")
    for file, what in ((text, "OpenPGP"), (secret, "secret"), (tmp_path / "x", "does not exist")):
        with pytest.raises(UsageError, match=what):
            keyring.check_file(file)


def test_a_key_that_the_caller_does_not_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(tmp_path))
    with pytest.raises(PrefixError, match="no secret key"):
        keyring.named("nobody@example.org")
