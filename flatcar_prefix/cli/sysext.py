# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix sysext``: make a system extension image of a prefix."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.errors import UsageError
from flatcar_prefix.image import manifest
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.extension_release import ANY
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.image.options import Options
from flatcar_prefix.image.sbom.table import SBOMS
from flatcar_prefix.image.summary import summary
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.system.progress import StatusLine

HELP = "make a system extension image of a prefix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options except those that name the prefix."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the image (default: <name>.raw in the current directory)",
    )
    parser.add_argument(
        "--format",
        choices=list(FORMATS),
        default="squashfs",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)} (default: %(default)s)",
    )
    _release_arguments(parser.add_argument_group("target systems"))
    _content_arguments(parser.add_argument_group("content"))
    beside = parser.add_argument_group("accompanying files")
    beside.add_argument("--sbom", choices=list(SBOMS), default="", help="write a bill of materials")
    beside.add_argument(
        "--provenance",
        metavar="BUILDER",
        default="",
        help="write SLSA provenance for the image and its packages; the URI names who builds",
    )
    beside.add_argument(
        "--sysupdate",
        metavar="URL",
        default="",
        help="write a transfer file for systemd-sysupdate, and a versioned name of the image",
    )
    beside.add_argument(
        "--image-version",
        metavar="VERSION",
        default="",
        help="the version in this name (default: the newest file's time)",
    )
    beside.add_argument(
        "--butane",
        action="store_true",
        help="write a Butane configuration that installs the image at the first boot of a machine"
        " and updates it from the URL of --sysupdate",
    )
    _trust_arguments(parser.add_argument_group("trust"))
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="skip the audit; the image may not be self-contained",
    )
    parser.add_argument(
        "--compression-level",
        type=int,
        metavar="N",
        help="1 to 22 for squashfs, 1 to 12 for erofs (default: 12)",
    )


def _trust_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--sign-key",
        metavar="KEY",
        default="",
        help="make a disk image with dm-verity, signed with this private key: a PEM file, or the"
        " PKCS#11 URI of a token",
    )
    group.add_argument(
        "--sign-cert",
        metavar="FILE",
        default="",
        help="the certificate of this key (PEM), which the target must trust",
    )
    group.add_argument(
        "--gpg-key",
        metavar="KEY",
        default="",
        help="sign SHA256SUMS with this key of the GnuPG keyring",
    )


def _release_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--os",
        metavar="ID",
        default=ANY,
        help="merge only into systems with this ID in os-release (default: any)",
    )
    group.add_argument(
        "--sysext-level", metavar="LEVEL", default="", help="require this SYSEXT_LEVEL"
    )
    group.add_argument(
        "--version-id", metavar="VERSION", default="", help="require this VERSION_ID"
    )
    group.add_argument(
        "--reload-manager", action="store_true", help="make systemd reload its units after merging"
    )
    group.add_argument(
        "--title", metavar="TEXT", default="", help="the extension's name for people (SYSEXT_NAME)"
    )
    group.add_argument(
        "--home-url", metavar="URL", default="", help="its home page (SYSEXT_HOME_URL)"
    )


def _content_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--units",
        action="store_true",
        help="copy units and what they need (sysusers.d, tmpfiles.d, ...) to /usr of the target",
    )
    group.add_argument(
        "--link",
        action="append",
        default=[],
        metavar="PROGRAM[:NAME]",
        help="add a link to the program in /usr/bin of the target; repeatable",
    )
    group.add_argument(
        "--keep-portage", action="store_true", help="include the VDB and Portage's configuration"
    )
    group.add_argument(
        "--keep-devel",
        action="store_true",
        help="include headers, static libraries and pkg-config files",
    )
    group.add_argument(
        "--keep-docs", action="store_true", help="include manual pages and documentation"
    )
    group.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="exclude these files: relative to EPREFIX or absolute, with * and **; repeatable",
    )
    group.add_argument(
        "--selinux",
        metavar="FILE_CONTEXTS",
        default="",
        help="label the files as this file of the target's policy says; the format must be erofs",
    )


def options(args: argparse.Namespace, environment: Mapping[str, str]) -> Options:
    """Return the options from the arguments and from SOURCE_DATE_EPOCH."""
    keep = [name for name in ("portage", "devel", "docs") if getattr(args, f"keep_{name}")]
    return Options(
        format=args.format,
        os_id=args.os,
        sysext_level=args.sysext_level,
        version_id=args.version_id,
        reload_manager=args.reload_manager,
        units=args.units,
        keep=tuple(keep),
        exclude=tuple(args.exclude),
        links=tuple(args.link),
        sbom=args.sbom,
        provenance=args.provenance,
        sysupdate=args.sysupdate,
        image_version=args.image_version,
        butane=args.butane,
        selinux=args.selinux,
        title=args.title,
        home_url=args.home_url,
        epoch=source_date_epoch(environment),
        verify=not args.no_verify,
        level=args.compression_level,
        sign_key=args.sign_key,
        sign_cert=args.sign_cert,
        gpg_key=args.gpg_key,
    )


def source_date_epoch(environment: Mapping[str, str]) -> int | None:
    """Return SOURCE_DATE_EPOCH in seconds, or None if it is not set.

    Raise :class:`UsageError` if it is not a number of 32 bits.
    """
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 32:
        raise UsageError(
            f"SOURCE_DATE_EPOCH {text!r} is not a time in seconds",
            hint="Set it to seconds since 1970, such as: git log -1 --format=%ct",
        )
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Make the image and print its path; return the exit code."""
    return make_image(named_prefix(args), args)


def make_image(prefix: Prefix, args: argparse.Namespace) -> int:
    """Make the image of ``prefix`` and print its path; return the exit code."""
    wanted = options(args, environ.variables())
    with StatusLine(sys.stderr) as line:

        def warn(text: str) -> None:
            line.clear()
            messages.warning(text)

        image = sysext(prefix, args.output, options=wanted, progress=line.show, warn=warn)
    suffix = FORMATS[wanted.format].suffix
    if getattr(args, "json", False):
        print(to_json(_result(image, suffix, verified=wanted.verify)), end="")
        return 0
    size = f" ({image.stat().st_size / 1e6:.1f} MB)" if image.is_file() else ""
    print(f">>> {image}{size}")
    sys.stdout.write(summary(manifest.read(image, suffix)))
    if not wanted.verify:
        messages.warning(f"The image is not verified: run flatcar-prefix verify {prefix.id}.")
    return 0


def _result(image: Path, suffix: str, *, verified: bool) -> dict[str, object]:
    name = image.name.removesuffix(suffix)
    return {
        "image": image.absolute(),
        "size": image.stat().st_size if image.is_file() else 0,
        "manifest": image.absolute().with_name(f"{name}.manifest.json"),
        "extension": name,
        "verified": verified,
    }
