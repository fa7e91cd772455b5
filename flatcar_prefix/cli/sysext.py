# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix sysext``: make a system extension image of a prefix."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.errors import UsageError
from flatcar_prefix.image.build import Options, sysext
from flatcar_prefix.image.extension_release import ANY
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.image.sbom import SBOMS
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages

HELP = "make a system extension image of a prefix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options but those that name the prefix."""
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the image (default: <name>.raw here)"
    )
    parser.add_argument(
        "--format", choices=list(FORMATS), default="squashfs", help="default: %(default)s"
    )
    _release_arguments(parser.add_argument_group("what it may be merged into"))
    _content_arguments(parser.add_argument_group("what goes in"))
    beside = parser.add_argument_group("what goes beside it")
    beside.add_argument("--sbom", choices=list(SBOMS), default="", help="a bill of materials")
    beside.add_argument(
        "--sysupdate",
        metavar="URL",
        default="",
        help="a transfer file for systemd-sysupdate, and the image by its versioned name",
    )
    beside.add_argument(
        "--image-version", metavar="VERSION", default="", help="default: the newest file's time"
    )
    parser.add_argument(
        "--no-verify", action="store_true", help="ship what may not be self-contained"
    )
    parser.add_argument(
        "--compression-level", type=int, metavar="N", help="1 to 22 (squashfs), 1 to 12 (erofs)"
    )


def _release_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--os", metavar="ID", default=ANY, help="only systems of this ID (default: any)"
    )
    group.add_argument("--sysext-level", metavar="LEVEL", default="", help="of that system")
    group.add_argument("--version-id", metavar="VERSION", default="", help="of that system")
    group.add_argument(
        "--reload-manager", action="store_true", help="reload systemd's units after merging"
    )


def _content_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--units", action="store_true", help="offer units, sysusers.d and tmpfiles.d to the system"
    )
    group.add_argument("--keep-portage", action="store_true", help="VDB and configuration")
    group.add_argument(
        "--keep-devel", action="store_true", help="headers, static libraries, pkg-config files"
    )
    group.add_argument("--keep-docs", action="store_true", help="manual pages and documentation")
    group.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave this out too: relative to EPREFIX or absolute, with * and **",
    )


def options(args: argparse.Namespace, environment: Mapping[str, str]) -> Options:
    """Return what the arguments, and SOURCE_DATE_EPOCH, ask for."""
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
        sbom=args.sbom,
        sysupdate=args.sysupdate,
        image_version=args.image_version,
        epoch=source_date_epoch(environment),
        verify=not args.no_verify,
        level=args.compression_level,
    )


def source_date_epoch(environment: Mapping[str, str]) -> int | None:
    """Return SOURCE_DATE_EPOCH; ``None`` without one."""
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 32:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {text!r}",
            hint="Set it to seconds since 1970, such as: git log -1 --format=%ct",
        )
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Make the image and say where it is."""
    return make_image(named_prefix(args), args)


def make_image(prefix: Prefix, args: argparse.Namespace) -> int:
    """Make the image of ``prefix`` and say where it is."""
    wanted = options(args, os.environ)

    def say(step: str) -> None:
        if sys.stderr.isatty():
            print(f">>> {prefix.id}: {step} ...", file=sys.stderr)

    image = sysext(prefix, args.output, options=wanted, progress=say, warn=messages.warning)
    size = f" ({image.stat().st_size / 1e6:.1f} MB)" if image.is_file() else ""
    print(f">>> {image}{size}")
    if not wanted.verify:
        messages.warning("Not verified: see flatcar-prefix verify.")
    return 0
