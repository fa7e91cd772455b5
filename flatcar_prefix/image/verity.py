# SPDX-License-Identifier: BSD-3-Clause
"""Signed disk images: a file system, its dm-verity hashes, and the signed root hash.

See the Discoverable Partitions Specification, and systemd-dissect(1). The hash has a derived
salt, and the partition table derived identifiers, so that the same content and key give the
same bytes. systemd-repart chooses a random salt.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from flatcar_prefix import environ
from flatcar_prefix.errors import BuildError, PrefixError, UsageError
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.system import process

FORMATS = ("squashfs", "erofs")
"""The formats with blocks of 4096 bytes, which dm-verity protects as they are."""

TYPES = MappingProxyType(
    {
        "x86-64": (
            "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
            "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
            "41092b05-9fc8-4523-994f-2def0408b176",
        ),
        "arm64": (
            "b921b045-1df0-41c3-af44-4c6f280d3fae",
            "df3300ce-d69f-4c92-978c-9bfb0f38d820",
            "6db69de6-29f4-4758-a7a5-962190f00ce3",
        ),
    }
)
"""By systemd's architecture: the types of the root, the root-verity and the root-verity-sig
partition."""

_NAMES = ("root", "root-verity", "root-verity-sig")
_SIGNATURE_SIZE = 16 * 1024
_ALIGNMENT = 1 << 20
_SECTOR = 512
_END = 33 * _SECTOR
"""The size of the second partition table."""
_ENGINE = ("-engine", "pkcs11")
"""The options with which openssl opens a PKCS#11 URI."""


@dataclass(frozen=True)
class Signer:
    """A private key and its X.509 certificate.

    The key is a PEM file or the PKCS#11 URI (RFC 7512) of a key in a token, such as a smart card.
    """

    key: str
    certificate: Path

    def fingerprint(self) -> str:
        """Return the SHA-256 digest of the certificate in hexadecimal."""
        said = _openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256")
        return said.rpartition("=")[2].strip().replace(":", "").lower()


def is_token(key: str) -> bool:
    """Return whether a key is a PKCS#11 URI."""
    return key.startswith("pkcs11:")


def signer(key: str, certificate: str) -> Signer | None:
    """Return the signer of ``--sign-key`` and ``--sign-cert``, or None if both are empty.

    Raise :class:`UsageError` if one is missing, and :class:`PrefixError` if a file is not a
    key or a certificate, if a token has no such key, or if they do not belong together.
    """
    if not key and not certificate:
        return None
    if not key or not certificate:
        missing = "--sign-cert" if key else "--sign-key"
        raise UsageError(
            f"{missing} is missing: a signature needs a key and its certificate",
            hint="Pass both --sign-key KEY.pem and --sign-cert CERTIFICATE.pem.",
        )
    found = Signer(
        key if is_token(key) else os.path.abspath(key), Path(os.path.abspath(certificate))
    )
    files = {"--sign-cert": found.certificate}
    if not is_token(key):
        files["--sign-key"] = Path(found.key)
    for option, path in files.items():
        if not path.is_file() or not os.access(path, os.R_OK):
            raise PrefixError(
                f"{option} {path} is not a readable file",
                hint="Choose a PEM file, or for a key the PKCS#11 URI of a token.",
            )
    if _public_of_key(found.key) != _public(
        found.certificate, "an X.509 certificate", "x509", "-pubkey", "-noout"
    ):
        raise PrefixError(
            f"the certificate {certificate} does not belong to the key {without_pin(key)}",
            hint="Choose the certificate that was made with this key.",
        )
    return found


def without_pin(key: str) -> str:
    """Return a key without the PIN of a token, for messages."""
    return re.sub(r"(pin-value=)[^;&]*", r"\1...", key)


def _public_of_key(key: str) -> str:
    if not is_token(key):
        kind = "a private key without a passphrase"
        return _public(Path(key), kind, "pkey", "-pubout", "-passin", "pass:")
    try:
        return _openssl("pkey", "-pubout", *_ENGINE, "-inform", "engine", "-in", key, token=True)
    except BuildError as error:
        raise PrefixError(
            f"openssl finds no private key at {without_pin(key)}",
            hint="Install openssl's engine pkcs11 (on Debian libengine-pkcs11-openssl) and the"
            " module of the token, and choose a private key that pkcs11-tool lists.",
        ) from error


def _public(path: Path, kind: str, command: str, *options: str) -> str:
    try:
        return _openssl(command, "-in", path, *options)
    except BuildError as error:
        raise PrefixError(
            f"{path} is not a PEM file with {kind}",
            hint="Make a pair with: openssl req -x509 -newkey rsa:4096 -nodes"
            " -keyout KEY.pem -out CERTIFICATE.pem -subj /CN=NAME",
        ) from error


def _openssl(*words: str | Path, token: bool = False, cwd: Path | None = None) -> str:
    """Run openssl and return its standard output.

    The module of a token reads its own variables of the caller, such as PKCS11_MODULE_PATH.
    """
    own = process.environment()
    env = {**environ.variables(), **own} if token else own
    return process.run(["openssl", *words], env=env, cwd=cwd, capture=True).stdout


def wrap(job: Job, architecture: str, by: Signer) -> dict[str, str]:
    """Replace the file system image of ``job`` by a signed disk image that contains it.

    Return the manifest's entry: the root hash and the certificate's digest, in hexadecimal.
    """
    data, hashes = job.scratch / "data", job.scratch / "hashes"
    job.output.rename(data)
    root_hash = _hash(job, data, hashes)
    fingerprint = by.fingerprint()
    signature = job.scratch / "signature"
    signature.write_bytes(_signature(job.scratch, root_hash, fingerprint, by))
    _assemble(job, architecture, root_hash, (data, hashes, signature))
    return {"root_hash": root_hash, "certificate_sha256": fingerprint}


def _hash(job: Job, data: Path, hashes: Path) -> str:
    """Write the dm-verity hashes of ``data`` and return the root hash."""
    salt = hashlib.sha256(f"salt {job.uuid}".encode()).hexdigest()
    told = job.scratch / "root-hash"
    argv = [
        *("veritysetup", "format", "--hash=sha256", f"--salt={salt}", f"--uuid={job.uuid}"),
        *("--data-block-size=4096", "--hash-block-size=4096", f"--root-hash-file={told.name}"),
        *(data.name, hashes.name),
    ]
    process.run(argv, env=process.environment(), cwd=job.scratch, capture=True)
    return told.read_text(encoding="ascii").strip()


def _signature(scratch: Path, root_hash: str, fingerprint: str, by: Signer) -> bytes:
    """Return the content of the signature partition: the PKCS#7 signature in JSON."""
    (scratch / "signed").write_text(root_hash, encoding="ascii")
    token = is_token(by.key)
    how = (*_ENGINE, "-keyform", "engine") if token else ("-passin", "pass:")
    _openssl(
        *("smime", "-sign", "-nocerts", "-noattr", "-binary", "-md", "sha256"),
        *("-in", "signed", *how, "-inkey", by.key, "-signer", by.certificate),
        *("-outform", "der", "-out", "signed.p7s"),
        token=token,
        cwd=scratch,
    )
    text = json.dumps(
        {
            "rootHash": root_hash,
            "certificateFingerprint": fingerprint,
            "signature": base64.b64encode((scratch / "signed.p7s").read_bytes()).decode(),
        }
    )
    return text.encode().ljust(_SIGNATURE_SIZE, b"\0")


def _assemble(job: Job, architecture: str, root_hash: str, parts: tuple[Path, ...]) -> None:
    """Write the partition table and copy each part into its partition."""
    disk = uuid.UUID(job.uuid)
    # The root hash is the two identifiers: this is how systemd finds the hashes of the data.
    identifiers = (
        uuid.UUID(root_hash[:32]),
        uuid.UUID(root_hash[-32:]),
        uuid.uuid5(disk, "signature"),
    )
    lines, starts, start = ["label: gpt", f"label-id: {disk}", "unit: sectors"], [], _ALIGNMENT
    for part, name, kind, identifier in zip(
        parts, _NAMES, TYPES[architecture], identifiers, strict=True
    ):
        size = _aligned(part.stat().st_size, 4096)
        flags = "" if name == _NAMES[-1] else ', attrs="GUID:60"'
        lines.append(
            f"start={start // _SECTOR}, size={size // _SECTOR}, type={kind}, uuid={identifier},"
            f" name={name}{flags}"
        )
        starts.append(start)
        start = _aligned(start + size, _ALIGNMENT)
    end = starts[-1] + size + _END
    with job.output.open("wb") as disk_file:
        disk_file.truncate(_aligned(end, 4096))
    process.run(
        ["sfdisk", "--no-reread", "--no-tell-kernel", "--quiet", job.output],
        env=process.environment(),
        input="".join(f"{line}\n" for line in lines),
        capture=True,
    )
    with job.output.open("r+b") as disk_file:
        for part, offset in zip(parts, starts, strict=True):
            disk_file.seek(offset)
            with part.open("rb") as file:
                shutil.copyfileobj(file, disk_file, 1 << 20)


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to
