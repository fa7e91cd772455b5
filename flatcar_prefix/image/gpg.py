# SPDX-License-Identifier: BSD-3-Clause
"""The signature of SHA256SUMS, which systemd-sysupdate verifies; see sysupdate.d(5)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.errors import BuildError, PrefixError
from flatcar_prefix.image import sha256sums
from flatcar_prefix.system import process

NAME = f"{sha256sums.NAME}.gpg"


def check_key(key: str) -> None:
    """Raise :class:`PrefixError` if the caller's keyring has no secret key for ``key``."""
    try:
        _gpg("--list-secret-keys", "--", key)
    except BuildError as error:
        raise PrefixError(
            f"the GnuPG keyring has no secret key {key!r}",
            hint="List the secret keys with: gpg --list-secret-keys",
        ) from error


def sign(sums: Path, key: str) -> Path:
    """Write the detached signature of ``sums`` next to it and return its path."""
    signature = sums.with_name(NAME)
    _gpg("--local-user", key, "--output", signature, "--detach-sign", "--", sums)
    return signature


def public_key(key: str) -> bytes:
    """Return the public key of ``key``, as in a keyring for systemd-sysupdate."""
    with tempfile.TemporaryDirectory(prefix="flatcar-prefix-gpg-") as directory:
        keyring = Path(directory, "keyring")
        _gpg("--output", keyring, "--export", "--", key)
        return keyring.read_bytes()


def _gpg(*words: str | Path) -> None:
    own = environ.variables()
    names: tuple[str, ...] = ("HOME", "GNUPGHOME", "GPG_TTY")
    keyring = {name: own[name] for name in names if name in own}
    argv = ["gpg", "--batch", "--yes", "--quiet", *words]
    process.run(argv, env=process.environment(keyring), capture=True)
