# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix wrappers``: write, list or check the wrappers of a prefix."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.files import filesystem_errors
from flatcar_prefix.wrappers import declaration, files, script
from flatcar_prefix.wrappers.files import DeclaredWrapper

HELP = "write, list or check the wrappers of a prefix"


@dataclass(frozen=True)
class Listed:
    """A row of ``--list``."""

    wrapper: str
    tool: str
    root: str
    entry: str
    installed: bool
    answers: str
    """The path of the command, or the module that replaces it; empty if neither exists."""
    package: str
    declared_in: str
    description: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--list", action="store_true", help="list each wrapper and the program that it runs"
    )
    what.add_argument(
        "--check",
        action="store_true",
        help="report missing, changed, outdated and left-over wrappers",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def changes(args: argparse.Namespace) -> bool:
    """Return whether the arguments request that wrappers be written."""
    return not (args.list or args.check)


def run(args: argparse.Namespace) -> int:
    """Write the wrappers, list them or check them; return the exit code."""
    prefix = named_prefix(args)
    if args.list:
        return _list(prefix, as_json=args.json)
    if args.check:
        return _check(prefix, as_json=args.json)
    with filesystem_errors(prefix.wrapper_dir):
        changed = files.generate(prefix)
        taken = files.taken(prefix)
    if args.json:
        print(json.dumps([os.fspath(path) for path in changed], indent=2))
    else:
        _tell(changed)
    if taken:
        messages.error(
            f"{', '.join(map(os.fspath, taken))}: exists and was not created by flatcar-prefix"
        )
        messages.hint("Move it away and repeat the command; all full names exist.")
    elif not changed and not args.json:
        messages.info(_all_well(prefix))
    return 1 if taken else 0


def _tell(changed: Sequence[Path]) -> None:
    for path in changed:
        there = os.path.lexists(path)
        messages.info(f"{'wrote' if there else 'removed'} {path}")


def _all_well(prefix: Prefix) -> str:
    count = len(declaration.tools())
    return f"all {count} wrappers of {prefix.id} in {prefix.wrapper_dir} are up to date"


def listed(prefix: Prefix) -> list[Listed]:
    """Return all wrappers of ``prefix`` with the program that each runs."""
    return [_listed(wrapper) for wrapper in files.wrappers(prefix)]


def _listed(wrapper: DeclaredWrapper) -> Listed:
    prefix, tool = wrapper.prefix, wrapper.tool
    at = files.working(prefix, tool) if tool.probe else script.found(prefix, tool)
    if tool.module and (at or not tool.commands):
        answers = script.own(tool.module)
    elif at:
        answers = os.fspath(at)
    else:
        answers = script.own(tool.stand_in) if tool.stand_in else ""
    return Listed(
        wrapper=wrapper.path.name,
        tool=tool.name,
        root=tool.root,
        entry=tool.entry,
        installed=bool(answers),
        answers=answers,
        package=tool.package,
        declared_in=os.fspath(tool.path),
        description=tool.description,
    )


def _list(prefix: Prefix, *, as_json: bool) -> int:
    rows = listed(prefix)
    if as_json:
        print(json.dumps([vars(row) for row in rows], indent=2))
        return 0
    shown = [("wrapper", "tool", "root", "entry", "installed")]
    shown += [(r.wrapper, r.tool, r.root, r.entry, r.answers or f"no ({r.package})") for r in rows]
    _table(shown)
    return 0


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        columns = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(columns).rstrip())


def _check(prefix: Prefix, *, as_json: bool) -> int:
    findings = files.check(prefix)
    if as_json:
        rows = [{"path": os.fspath(f.path), "state": f.state, "reason": f.reason} for f in findings]
        print(json.dumps(rows, indent=2))
    elif findings:
        for finding in findings:
            messages.error(f"{finding.state}: {finding.path} {finding.reason}")
        first = "Write the wrappers again"
        if any(finding.state == files.IN_THE_WAY for finding in findings):
            first = "Move away the files that are in the way, then write the wrappers again"
        messages.hint(f"{first}: flatcar-prefix wrappers {prefix.id}")
    else:
        messages.info(_all_well(prefix))
    return 1 if findings else 0
