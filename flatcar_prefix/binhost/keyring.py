# SPDX-License-Identifier: BSD-3-Clause
"""GnuPG keys: those that a prefix trusts, and the one that a pool signs with."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flatcar_prefix import environ
from flatcar_prefix.errors import BuildError, PrefixError, UsageError
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import process
from flatcar_prefix.system.files import write_atomic

if TYPE_CHECKING:
    import subprocess

_SOCKET_LIMIT = 107
"""The longest path of a socket in bytes, see unix(7)."""

_LONGEST_SOCKET = "S.gpg-agent.browser"


@dataclass(frozen=True)
class Key:
    """A key in a file or in a keyring."""

    fingerprint: str
    user: str


def check_file(file: Path) -> tuple[Key, ...]:
    """Return the public keys in ``file``; raise :class:`UsageError` if it is not a file of such."""
    hint = "Export the key with: gpg --armor --export KEY > FILE"
    if not file.is_file():
        raise UsageError(f"the key file {file} does not exist", hint=hint)
    try:
        said = _gpg("--no-default-keyring", "--with-colons", "--show-keys", "--", file).stdout
    except BuildError as error:
        raise UsageError(f"{file} is not a file of OpenPGP keys", hint=hint) from error
    if any(line.startswith("sec:") for line in said.splitlines()):
        raise UsageError(f"{file} contains a secret key, not a public one", hint=hint)
    keys = tuple(_keys(said))
    if not keys:
        raise UsageError(f"{file} contains no OpenPGP key", hint=hint)
    return keys


def install(home: Path, files: Iterable[Path]) -> tuple[str, ...]:
    """Let the GnuPG home directory ``home`` trust the keys in ``files``; return their fingerprints.

    The user to whom Portage drops its rights can read it: it has public keys only.
    """
    keys = [(file, check_file(file)) for file in files]
    home.mkdir(parents=True, exist_ok=True)
    # Without this mark, GnuPG asks its agent for keys of version 2.0, which a long path prevents.
    (home / ".gpg-v21-migrated").touch()
    write_atomic(home / "gpg.conf", "lock-never\nno-autostart\nno-permission-warning\n")
    for file, _ in keys:
        _gpg("--import", "--", file, home=home)
    fingerprints = tuple(dict.fromkeys(key.fingerprint for _, found in keys for key in found))
    _gpg("--import-ownertrust", home=home, text="".join(f"{one}:6:\n" for one in fingerprints))
    _gpg("--check-trustdb", home=home)
    home.chmod(0o755)
    for path in home.iterdir():
        if path.is_file():
            path.chmod(0o644)
    return fingerprints


def keep(home: Path, fingerprints: Collection[str]) -> None:
    """Remove all other keys from the keyring of a prefix."""
    gone = [key.fingerprint for key in trusted(home) if key.fingerprint not in fingerprints]
    if gone:
        _gpg("--delete-keys", "--", *gone, home=home)


def trusted(home: Path) -> tuple[Key, ...]:
    """Return the keys in the keyring of a prefix; none if it has no keyring."""
    if not (home / "pubring.kbx").is_file():
        return ()
    return tuple(_keys(_gpg("--with-colons", "--list-keys", home=home).stdout))


def make(home: Path, user: str) -> str:
    """Make a signing key without passphrase in a new home directory; return its fingerprint."""
    _refuse_long(home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if found := secret_keys(home):
        return found[0].fingerprint
    try:
        _gpg(
            *("--pinentry-mode", "loopback", "--passphrase", ""),
            *("--quick-generate-key", user, "ed25519", "sign", "never"),
            home=home,
        )
        (key,) = secret_keys(home)
    finally:
        stop_agent(home)
    return key.fingerprint


def _is_long(home: Path) -> bool:
    return len(os.fsencode(home / _LONGEST_SOCKET)) > _SOCKET_LIMIT


def _refuse_long(home: Path) -> None:
    """Raise :class:`PrefixError` if GnuPG cannot make its sockets in ``home``."""
    if _is_long(home) and not Path(f"/run/user/{os.geteuid()}").is_dir():
        raise PrefixError(
            f"the path {home} is too long for a GnuPG home directory",
            hint="Choose a shorter --staging-dir, or name a key of your own with --pool-key.",
        )


def named(key: str) -> tuple[str, Path]:
    """Return the fingerprint of a secret key of the caller's keyring, and its home directory.

    Raise :class:`PrefixError` if the keyring does not have exactly one such key.
    """
    own = environ.variables()
    home = Path(own.get("GNUPGHOME") or os.path.join(own.get("HOME", "/"), ".gnupg"))
    found = [one.fingerprint for one in secret_keys(home, key)]
    if len(found) != 1:
        raise PrefixError(
            f"the GnuPG keyring {home} has {'several secret keys' if found else 'no secret key'}"
            f" {key!r}",
            hint="List the secret keys with: gpg --list-secret-keys",
        )
    return found[0], home


def secret_keys(home: Path, *words: str) -> tuple[Key, ...]:
    """Return the secret keys in a home directory, or those that ``words`` name."""
    if not home.is_dir():
        return ()
    try:
        said = _gpg("--with-colons", "--list-secret-keys", "--", *words, home=home).stdout
    except BuildError:  # There is no such key.
        return ()
    return tuple(_keys(said))


def export(home: Path, fingerprint: str, file: Path) -> None:
    """Write a public key to a file."""
    text = _gpg("--armor", "--export", "--", fingerprint, home=home).stdout
    write_atomic(file, text)


def stop_agent(home: Path) -> None:
    """End the gpg-agent that GnuPG starts for a home directory."""
    process.run(
        ["gpgconf", "--homedir", home, "--kill", "gpg-agent"],
        env=process.environment(), capture=True, check=False, package="gpgconf",
    )  # fmt: skip


def stop_agent_of(pool: Prefix) -> None:
    """End the gpg-agent that has signed packages of ``pool`` with a key that :func:`make` made.

    The agent of the user's own keyring goes on. The caller is the only user of the pool.
    """
    if pool.signing_key and not pool.signing_home:
        with suppress(PrefixError):  # A prefix without GnuPG has no agent.
            stop_agent(pool.own_signing_home)


def _keys(said: str) -> Iterator[Key]:
    """Yield the keys in the output of ``--with-colons``, see doc/DETAILS of GnuPG."""
    fingerprint, wanted = "", False
    for fields in (line.split(":") for line in said.splitlines()):
        if fields[0] in ("pub", "sec"):
            wanted = True
        elif fields[0] == "fpr" and wanted:
            fingerprint, wanted = fields[9], False
        elif fields[0] == "uid" and fingerprint:
            yield Key(fingerprint, fields[9])
            fingerprint = ""


def _gpg(
    *words: str | Path, home: Path | None = None, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    own = environ.variables()
    names: tuple[str, ...] = ("HOME", "GNUPGHOME", "GPG_TTY")
    keyring = {name: own[name] for name in names if name in own}
    argv = ["gpg", "--batch", "--yes", "--quiet", "--no-tty"]
    env = process.environment(keyring)
    if home is None:
        return process.run([*argv, *words], env=env, capture=True, input=text)
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # GnuPG looks for its agent below the path that it gets; a long one is an error.
        where = f"/proc/self/fd/{fd}" if _is_long(home) else home
        argv += ["--homedir", os.fspath(where)]
        return process.run([*argv, *words], env=env, capture=True, input=text, pass_fds=[fd])
    finally:
        os.close(fd)
