# SPDX-License-Identifier: BSD-3-Clause
"""The options of an image, and whether they make sense together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from flatcar_prefix.errors import UsageError
from flatcar_prefix.image import provenance, sysupdate, verity
from flatcar_prefix.image.extension_release import ANY
from flatcar_prefix.image.formats.table import FORMATS, Format
from flatcar_prefix.image.sbom.table import SBOMS
from flatcar_prefix.image.selection import MERGED, RULES
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.registry import refuse_unconfigured

SEARCHED = (
    "/etc/extensions",
    "/run/extensions",
    "/var/lib/extensions",
    "/usr/local/lib/extensions",
    "/usr/lib/extensions",
)
"""The directories in which systemd-sysext(8) finds images."""


@dataclass(frozen=True)
class Options:
    """The options of an image; see ``flatcar-prefix sysext --help``."""

    format: str = "squashfs"
    os_id: str = ANY
    sysext_level: str = ""
    version_id: str = ""
    reload_manager: bool = False
    units: bool = False
    keep: tuple[str, ...] = ()
    """Names of rules that do not apply: ``portage``, ``devel``, ``docs``, ``cache``."""
    exclude: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """``PROGRAM[:NAME]``: links in /usr/bin of the target to programs of the prefix."""
    sbom: str = ""
    """``spdx`` or ``cyclonedx``; empty for none."""
    provenance: str = ""
    """The URI of the system that builds, for SLSA provenance; empty for none."""
    sysupdate: str = ""
    """URL of the directory from which systems download images; empty for none."""
    image_version: str = ""
    butane: bool = False
    """Write a Butane configuration that installs and updates the image; needs ``sysupdate``."""
    selinux: str = ""
    """A file_contexts(5) file with the labels of the target's files; empty for no labels."""
    title: str = ""
    """The name of the extension for people (``SYSEXT_NAME``)."""
    home_url: str = ""
    epoch: int | None = None
    """SOURCE_DATE_EPOCH in seconds: no file of the image is newer.

    The default is the time of the newest file.
    """
    verify: bool = True
    level: int | None = None
    sign_key: str = ""
    """The private key for a signed disk image; empty for a plain image.

    It is a PEM file, or the PKCS#11 URI of a key in a token.
    """
    sign_cert: str = ""
    gpg_key: str = ""
    """The GnuPG key that signs SHA256SUMS; empty for none."""


class OptionFields(TypedDict, total=False):
    """The fields of :class:`Options`, for calls of ``fp.sysext``."""

    format: str
    os_id: str
    sysext_level: str
    version_id: str
    reload_manager: bool
    units: bool
    keep: tuple[str, ...]
    exclude: tuple[str, ...]
    links: tuple[str, ...]
    sbom: str
    provenance: str
    sysupdate: str
    image_version: str
    butane: bool
    selinux: str
    title: str
    home_url: str
    epoch: int | None
    verify: bool
    level: int | None
    sign_key: str
    sign_cert: str
    gpg_key: str


def format_of(name: str) -> Format:
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(
            f"unknown format {name!r}", hint=f"Choose one of: {', '.join(FORMATS)}."
        ) from None


def check(prefix: Prefix, wanted: Options) -> None:
    """Raise :class:`PrefixError` or :class:`UsageError` for invalid options or a missing final."""
    if prefix.eprefix.split("/")[1] not in MERGED:
        raise UsageError(
            f"{prefix.eprefix} cannot be in a system extension, which has only /usr and /opt",
            hint=f"Set up the prefix below /usr or /opt, such as at /opt{prefix.eprefix}.",
        )
    _check_level(FORMATS[wanted.format], wanted.level)
    if unknown := set(wanted.keep) - {rule.name for rule in RULES}:
        raise UsageError(
            f"unknown rule {', '.join(sorted(unknown))}",
            hint=f"Choose from: {', '.join(rule.name for rule in RULES)}.",
        )
    if wanted.sbom and wanted.sbom not in SBOMS:
        raise UsageError(
            f"unknown bill of materials {wanted.sbom!r}",
            hint=f"Choose one of: {', '.join(SBOMS)}.",
        )
    if wanted.provenance:
        provenance.check_builder(wanted.provenance)
        if not FORMATS[wanted.format].suffix:
            raise UsageError(
                "provenance describes a file, and the format directory makes none",
                hint="Choose another format, or remove --provenance.",
            )
    if wanted.image_version:
        sysupdate.check_version(wanted.image_version)
    if wanted.sysupdate:
        sysupdate.check_url(wanted.sysupdate)
        if FORMATS[wanted.format].suffix != ".raw":
            raise UsageError(
                f"systemd-sysupdate cannot transfer the format {wanted.format}",
                hint="Choose a format with the suffix .raw, such as squashfs.",
            )
    elif wanted.butane:
        raise UsageError(
            "a Butane configuration needs the URL of the image",
            hint="Add --sysupdate URL, the directory of the image on the server.",
        )
    if wanted.selinux:
        _check_labels(wanted)
    refuse_unconfigured(prefix.final)


def _check_labels(wanted: Options) -> None:
    if wanted.format != "erofs":
        raise UsageError(
            f"the format {wanted.format} cannot have SELinux labels",
            hint="Add --format erofs: mkfs.erofs labels the files of an image.",
        )
    try:
        lines = Path(wanted.selinux).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{wanted.selinux} cannot be read: {getattr(error, 'strerror', 'it is not a text')}",
            hint="Name the file_contexts file of the target's policy, such as"
            " /etc/selinux/targeted/contexts/files/file_contexts.",
        ) from None
    rules = [line.split() for line in lines if line.strip() and line.lstrip()[0] != "#"]
    wrong = [words for words in rules if len(words) not in (2, 3) or not words[0].startswith("/")]
    if wrong or not rules:
        what = f"the line {' '.join(wrong[0])!r}" if wrong else "no rule"
        raise UsageError(
            f"{wanted.selinux} is not a file_contexts file: it has {what}",
            hint="See file_contexts(5): PATTERN [TYPE] CONTEXT",
        )


def ignored(wanted: Options) -> Iterator[str]:
    """Yield a warning about a release file that no system with a VERSION_ID accepts."""
    if wanted.os_id != ANY and not (wanted.sysext_level or wanted.version_id):
        yield (
            f"--os {wanted.os_id} without --sysext-level or --version-id: each system whose"
            " os-release has a VERSION_ID, such as Flatcar, ignores the image"
        )


def hiding(eprefix: str, os_id: str) -> Iterator[str]:
    """Yield a warning if an image with files of ``eprefix`` hides files of a target.

    docs/shipping.md names the systems.
    """
    if eprefix.startswith("/usr/local/") and os_id in (ANY, "fedora"):
        yield (
            "where /usr/local is a link, as in Fedora CoreOS, an image with files below it hides"
            " the files there; /usr/lib/NAME is safe on all systems"
        )
    if eprefix.startswith("/opt/"):
        yield (
            "an image with files below /opt makes /opt read-only and hides mounts there while it is"
            " merged; /usr/lib/NAME is safe on all systems"
        )


def check_directory(directory: Path, wanted: Options) -> None:
    """Raise :class:`UsageError` if systemd-sysext would merge two names of one image."""
    if wanted.sysupdate and os.path.realpath(directory) in SEARCHED:
        raise UsageError(
            f"systemd-sysext merges all images in {directory}, and --sysupdate makes two names",
            hint="Write to the directory of a web server, or remove --sysupdate.",
        )


def signer_of(wanted: Options) -> verity.Signer | None:
    """Return who signs the image; raise an error if this is not possible."""
    signer = verity.signer(wanted.sign_key, wanted.sign_cert)
    if signer and wanted.format not in verity.FORMATS:
        raise UsageError(
            f"a signed image cannot have the format {wanted.format}",
            hint=f"Choose one of: {', '.join(verity.FORMATS)}.",
        )
    return signer


def _check_level(form: Format, level: int | None) -> None:
    if level is None or level in form.levels:
        return
    if not form.levels:
        raise UsageError(f"{form.name} is not compressed", hint="Remove --compression-level.")
    raise UsageError(
        f"{form.name} has no compression level {level}",
        hint=f"Choose a level from {form.levels[0]} to {form.levels[-1]}.",
    )
