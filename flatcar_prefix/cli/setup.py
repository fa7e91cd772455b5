# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix setup``, which is ``setup_prefix``: create a prefix."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

from flatcar_prefix.boards import BOARDS, DEFAULT_BOARD
from flatcar_prefix.cli import show, uninstall
from flatcar_prefix.cli.parser import (
    boolean_flag,
    comma_separated,
    json_argument,
    progress_of,
    volume_arguments,
)
from flatcar_prefix.errors import UsageError
from flatcar_prefix.lifecycle import create, stages
from flatcar_prefix.lifecycle.request import Request
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.toolchain import find as toolchains
from flatcar_prefix.version import __version__

POOL = "pool"
"""The name of a pool without one."""

HELP = "set up a prefix (the same as setup_prefix)"
DESCRIPTION = "Create a prefix, its configuration roots, its staging root, its wrappers."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``setup_prefix``: the fields of the request, and ``--uninstall``.

    An option that is not given is absent from the namespace: the request has the defaults.
    """
    parser.argument_default = argparse.SUPPRESS
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
    volume_arguments(parser, builds=True)
    json_argument(parser)
    add(
        "--custom-ebuild-overlays",
        type=comma_separated,
        metavar="DIR,...",
        help="highest priority last",
    )
    _binhost_arguments(parser)
    add("--scripts-dir", help="the scripts checkout whose repositories are used")
    add("--wrapper-dir", help="default: /usr/local/bin")
    add("--profile", metavar="[REPO:]PATH", help="default: the board's first existing one")
    add("--toolchain", help=f"{', '.join(toolchains.KINDS)} (default: the first one that works)")
    add("--bootstrap", help="source (default), import or none: the C library")
    stage_arguments(parser)
    boolean_flag(
        parser, "with-gcc", "also install a compiler into staging; the checkout must have one"
    )
    add(
        "--locales",
        type=comma_separated,
        metavar="LOCALE,...",
        help="locales of the C library besides C.UTF-8, e.g. de_DE.UTF-8",
    )
    boolean_flag(parser, "unconfined", "let builds write to the whole machine")
    add("--cross-boss-root", help=argparse.SUPPRESS)  # a flag of the shell version
    add("--version", action="version", version=f"flatcar-prefix {__version__}")


def _binhost_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of binary packages, see docs/pools.md."""
    add = parser.add_argument
    add(
        "--binhost",
        type=comma_separated,
        metavar="WHERE,...",
        help="take binary packages from URLs, directories or pools; none: build everything"
        " (default: the fitting pool of this machine)",
    )
    add(
        "--binhost-key",
        type=comma_separated,
        metavar="FILE,...",
        help="public keys that sign the binary packages; none: do not verify them",
    )
    boolean_flag(parser, "pool", "create a pool, whose packages other prefixes take")
    add(
        "--pool-key",
        metavar="KEY",
        help="the secret key of your GnuPG keyring that signs a pool; none: do not sign"
        " (default: a new key)",
    )


def stage_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--from`` and ``--until``, which choose stages of the bootstrap."""
    names = ", ".join(stage.name for stage in stages.STAGES)
    parser.add_argument("--from", dest="first_stage", metavar="STAGE", help=f"one of {names}")
    parser.add_argument("--until", dest="last_stage", metavar="STAGE", help="the last stage to run")


def changes(_args: argparse.Namespace) -> bool:
    """Return True: the verb always writes to a prefix."""
    return True


def run(args: argparse.Namespace) -> int:
    """Set a prefix up, or remove it with ``--uninstall``."""
    given = vars(args)
    name = given.get("name")
    if not name and args.pool and not args.uninstall:
        name = given["name"] = POOL
    if not name:
        raise UsageError(
            "the name of the prefix is missing", hint="Run: setup_prefix <name> <prefix path>"
        )
    if "cross_boss_root" in given:
        messages.warning("--cross-boss-root is not needed: this program does not use cross-boss")
    if args.uninstall:
        return _uninstall(given, args)
    if not given.get("eprefix") and not args.pool:
        raise UsageError(
            "the path of the prefix is missing",
            hint=f"Run: setup_prefix {name} <prefix path>, e.g. /usr/local/{name}",
        )
    options = {f.name: given[f.name] for f in fields(Request) if f.name in given}
    with progress_of(args) as say:
        prefix = create.setup(**options, say=say)
    return tell_state(prefix, args)


def _uninstall(given: dict[str, Any], args: argparse.Namespace) -> int:
    """Remove the named prefix; other arguments must match it."""
    staging_dir = given.get("staging_dir")
    return uninstall.remove(
        args,
        given["name"],
        board=given.get("board") or _default_board(given["name"], staging_dir),
        eprefix=given.get("eprefix"),
        staging_dir=staging_dir,
    )


def _default_board(name: str, staging_dir: str | None) -> str | None:
    """Return the board of ``--uninstall`` without ``--board``; a path or an ID has its own."""
    own = staging_dir or "/" in name or name.endswith(tuple(f"-{board}" for board in BOARDS))
    return None if own else DEFAULT_BOARD


def tell_state(prefix: Prefix, args: argparse.Namespace) -> int:
    """Print the state of the prefix as ``args`` request it; return the exit code."""
    if args.json:
        print(to_json(_state(prefix)), end="")
    elif not args.quiet:
        _tell(prefix)
    return 0


_FROM_SHOW = (
    "name", "board", "id", "eprefix", "state", "bootstrap", "stages", "staging", "final",
    "wrapper_dir",
)  # fmt: skip
"""The keys that the output has in common with that of ``show``."""


def _state(prefix: Prefix) -> dict[str, Any]:
    """Return the state of the prefix, and how to continue, ready for JSON."""
    shown = show.summary(prefix)
    left = [stage.name for stage in stages.pending(prefix)]
    return {
        **{key: shown[key] for key in _FROM_SHOW},
        "stages_left": left,
        "continue": None if prefix.complete else registry.setup_command(prefix),
        "emerge": prefix.wrapper("emerge").path if prefix.complete else None,
    }


def _tell(prefix: Prefix) -> None:
    """Print the state of the prefix, and how to continue."""
    if not prefix.complete:
        left = ", ".join(stage.name for stage in stages.pending(prefix))
        messages.info(f"the prefix {prefix.id} is not complete; left to do: {left}")
        messages.info(f"continue: {registry.setup_command(prefix)}")
        return
    emerge = prefix.wrapper("emerge")
    messages.info(f"the prefix {prefix.id} is ready; {emerge.path} installs packages into it")
    if (last := PurePosixPath(prefix.eprefix).name) != prefix.name:
        messages.info(
            f"wrappers have the name of the prefix, not of its path: {emerge.path.name}, not"
            f" emerge-prefix-{last}-{prefix.board.name}"
        )
