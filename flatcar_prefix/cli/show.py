# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix show``: all about one prefix."""

from __future__ import annotations

import argparse
import json
import shlex
from typing import Any

from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.prefix.model import KINDS, Prefix

HELP = "show all about one prefix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--env", metavar="ROOT", help=f"print Portage's variables for a root: {' or '.join(KINDS)}"
    )


def run(args: argparse.Namespace) -> int:
    """Print the prefix for people, as JSON, or the variables of one of its roots."""
    prefix = named_prefix(args)
    if args.env:
        for name, value in prefix.root(args.env).environment().items():
            print(f"{name}={shlex.quote(value)}")
    elif args.json:
        print(json.dumps(summary(prefix), indent=2))
    else:
        print(shown(prefix), end="")
    return 0


def state(prefix: Prefix) -> str:
    """Return the state of a prefix in words."""
    return "ready" if prefix.complete else "not set up completely"


def summary(prefix: Prefix) -> dict[str, Any]:
    """Return the data of ``list`` and ``show`` for a prefix, ready for JSON."""
    return {
        "name": prefix.name,
        "board": prefix.board.name,
        "id": prefix.id,
        "eprefix": prefix.eprefix,
        "state": "complete" if prefix.complete else "incomplete",
        "bootstrap": prefix.bootstrap,
        "stages": list(prefix.stages_done),
        "chost": prefix.board.chost,
        "loader": f"{prefix.eprefix}/{prefix.board.loader}",
        "profile": prefix.profile,
        "toolchain": {
            "kind": prefix.toolchain.kind,
            "cc": prefix.toolchain.cc,
            "version": prefix.toolchain.version,
            "libc": prefix.toolchain.libc_version,
            "sysroot": prefix.toolchain.sysroot,
        },
        "repositories": {r.name: str(r.location) for r in prefix.repositories},
        "staging": {"directory": str(prefix.staging_dir), "root": str(prefix.staging.path)},
        "final": {"directory": str(prefix.final_dir), "root": str(prefix.final.path)},
        "distdir": str(prefix.distdir),
        "wrapper_dir": str(prefix.wrapper_dir),
        "written_by": prefix.written_by,
    }


def shown(prefix: Prefix) -> str:
    """Return the text output of ``show``."""
    said = summary(prefix)
    libc = {
        "source": "built from source",
        "import": f"the toolchain's own, imported (glibc {prefix.toolchain.libc_version})",
        "none": "none yet (--bootstrap=none)",
    }[prefix.bootstrap]
    rows = {
        "prefix": f"{prefix.id}, {state(prefix)}",
        "EPREFIX": prefix.eprefix,
        "CHOST": prefix.board.chost,
        "C library": libc,
        "toolchain": f"{prefix.toolchain.kind}: {prefix.toolchain.version}",
        "profile": prefix.profile,
        "staging": said["staging"]["root"],
        "final": said["final"]["root"],
        "DISTDIR": said["distdir"],
        "wrappers": said["wrapper_dir"],
        "stages": " ".join(prefix.stages_done) or "none done",
    }
    text = "".join(f"{name + ':':12}{value}\n" for name, value in rows.items())
    return text + "".join(f"{'repository:':12}{r.name} {r.location}\n" for r in prefix.repositories)
