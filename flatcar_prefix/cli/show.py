# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix show``: the data of one prefix."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import Any

from flatcar_prefix.cli.parser import json_argument, named_prefix, prefix_arguments
from flatcar_prefix.lifecycle import disk
from flatcar_prefix.prefix.model import KINDS, Prefix
from flatcar_prefix.sandbox import confinement
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.system.trees import spelled_size

HELP = "show the data of one prefix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    json_argument(parser)
    parser.add_argument(
        "--env", metavar="ROOT", help=f"print Portage's variables for a root: {' or '.join(KINDS)}"
    )


def run(args: argparse.Namespace) -> int:
    """Print the data of the prefix as text or JSON, or the variables of one of its roots."""
    prefix = named_prefix(args)
    if args.env:
        for name, value in prefix.root(args.env).environment().items():
            print(f"{name}={shlex.quote(value)}")
    elif args.json:
        print(to_json({**summary(prefix), "disk": asdict(disk.used(prefix))}), end="")
    else:
        print(shown(prefix), end="")
    return 0


_STATES = {
    "ready": "complete",
    "not set up completely": "incomplete",
    "being removed": "removing",
}
"""The states for programs."""


def state(prefix: Prefix) -> str:
    """Return the state of a prefix in words."""
    if prefix.removing:
        return "being removed"
    return "ready" if prefix.complete else "not set up completely"


def summary(prefix: Prefix) -> dict[str, Any]:
    """Return the data of ``list`` and ``show`` for a prefix, ready for JSON."""
    return {
        "name": prefix.name,
        "board": prefix.board.name,
        "id": prefix.id,
        "eprefix": prefix.eprefix,
        "state": _STATES[state(prefix)],
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
        "pool": prefix.pool,
        "confined": prefix.confined,
        "written_by": prefix.written_by,
        "current": prefix.is_current,
    }


def _disk(prefix: Prefix) -> str:
    used = disk.used(prefix)
    parts = ("packages", "logs", "builds")
    in_it = ", ".join(f"{name} {spelled_size(getattr(used, name))}" for name in parts)
    return f"staging {spelled_size(used.staging)} (with {in_it}), final {spelled_size(used.final)}"


def shown(prefix: Prefix) -> str:
    """Return the text output of ``show``."""
    said = summary(prefix)
    libc = {
        "source": "built from source",
        "import": f"the toolchain's own, imported (glibc {prefix.toolchain.libc_version})",
        "none": "none yet (--bootstrap=none)",
    }[prefix.bootstrap]
    pool = ", a pool" if prefix.pool else ""
    rows = {
        "prefix": f"{prefix.id}, {state(prefix)}{pool}",
        "EPREFIX": prefix.eprefix,
        "CHOST": prefix.board.chost,
        "C library": libc,
        "toolchain": f"{prefix.toolchain.kind}: {prefix.toolchain.version}",
        "profile": prefix.profile,
        "staging": said["staging"]["root"],
        "final": said["final"]["root"],
        "DISTDIR": said["distdir"],
        "wrappers": said["wrapper_dir"],
        "builds": confinement.describe(prefix),
        "disk": _disk(prefix),
        "stages": " ".join(prefix.stages_done) or "none done",
    }
    text = "".join(f"{name + ':':12}{value}\n" for name, value in rows.items())
    return text + "".join(f"{'repository:':12}{r.name} {r.location}\n" for r in prefix.repositories)
