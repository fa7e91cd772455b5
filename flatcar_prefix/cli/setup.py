# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix setup``, which is ``setup_prefix``: create a prefix."""

from __future__ import annotations

import argparse

from flatcar_prefix.boards import BOARDS, DEFAULT_BOARD
from flatcar_prefix.cli.parser import boolean_flag
from flatcar_prefix.errors import UsageError
from flatcar_prefix.lifecycle import create, stages, uninstall
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.messages import TerminalProgress
from flatcar_prefix.toolchain import find as toolchains
from flatcar_prefix.version import __version__

HELP = "set up a prefix (the same as setup_prefix)"
DESCRIPTION = "Create a prefix, its configuration roots, its staging root, its wrappers."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``setup_prefix``."""
    add = parser.add_argument
    add("name", metavar="<name>", nargs="?", help="name of the prefix and of its wrappers")
    add(
        "eprefix",
        metavar="<eprefix>",
        nargs="?",
        help="path of the prefix, e.g. /usr/local/my-stuff",
    )
    add("--board", help=f"{' or '.join(BOARDS)} (default: {DEFAULT_BOARD})")
    add("--staging-dir", help="default: /build/prefix-<board>/<name>")
    add("--final-dir", help="default: <scripts>/__prefix__/<board>/<name>")
    boolean_flag(parser, "force", "remove an old prefix of that name entirely, and recreate it")
    boolean_flag(parser, "uninstall", "remove the prefix, its wrappers and every trace")
    add("--custom-ebuild-overlays", default="", metavar="DIR,...", help="highest priority last")
    add("--scripts-dir", help="the scripts checkout whose repositories are used")
    add("--wrapper-dir", help="default: /usr/local/bin")
    add("--profile", metavar="[REPO:]PATH", help="default: the board's first existing one")
    add("--toolchain", help=f"{', '.join(toolchains.KINDS)} (default: the best one present)")
    add("--bootstrap", default="source", help="source (default), import or none: the C library")
    stage_arguments(parser)
    boolean_flag(parser, "with-gcc", "build a compiler into staging, where the tree has one")
    add("--version", action="version", version=f"flatcar-prefix {__version__}")


def stage_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--from`` and ``--until``, which choose stages of the bootstrap."""
    names = ", ".join(stage.name for stage in stages.STAGES)
    parser.add_argument("--from", dest="first_stage", metavar="STAGE", help=f"one of {names}")
    parser.add_argument("--until", dest="last_stage", metavar="STAGE", help="the last stage to do")


def changes(_args: argparse.Namespace) -> bool:
    """Return True: the verb always writes to a prefix."""
    return True


def run(args: argparse.Namespace) -> int:
    """Set a prefix up, or remove it where ``--uninstall`` is given."""
    if not args.name:
        raise UsageError(
            "the name of the prefix is missing", hint="Run: setup_prefix <name> <prefix path>"
        )
    if args.uninstall:
        return _uninstall(args)
    if not args.eprefix:
        raise UsageError(
            "the path of the prefix is missing",
            hint=f"Run: setup_prefix {args.name} <prefix path>, e.g. /usr/local/{args.name}",
        )
    with TerminalProgress() as say:
        prefix = create.setup(
            args.name,
            args.eprefix,
            board=args.board or DEFAULT_BOARD,
            staging_dir=args.staging_dir,
            final_dir=args.final_dir,
            force=args.force,
            custom_ebuild_overlays=[o for o in args.custom_ebuild_overlays.split(",") if o],
            scripts_dir=args.scripts_dir,
            wrapper_dir=args.wrapper_dir,
            profile=args.profile,
            toolchain=args.toolchain,
            bootstrap=args.bootstrap,
            with_gcc=args.with_gcc,
            first_stage=args.first_stage,
            last_stage=args.last_stage,
            say=say,
        )
    return tell_state(prefix)


def _uninstall(args: argparse.Namespace) -> int:
    """Remove the named prefix; other arguments must match it."""
    with TerminalProgress() as say:
        uninstall.uninstall(
            args.name,
            board=args.board or (None if args.staging_dir else DEFAULT_BOARD),
            eprefix=args.eprefix,
            staging_dir=args.staging_dir,
            say=say,
        )
    return 0


def tell_state(prefix: Prefix) -> int:
    """Print the state of the prefix and the remaining stages; return the exit code."""
    if not prefix.complete:
        left = ", ".join(stage.name for stage in stages.pending(prefix))
        messages.info(f"the prefix {prefix.id} is not complete; left to do: {left}")
        messages.info(f"continue: {registry.setup_command(prefix)}")
        return 0
    emerge = prefix.wrapper("emerge")
    messages.info(f"the prefix {prefix.id} is ready; {emerge.path} installs packages into it")
    return 0
