# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix wrappers``: write, list or check the wrappers of a prefix."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.cli.parser import named_prefix, prefix_arguments, volume_arguments
from flatcar_prefix.errors import UsageError
from flatcar_prefix.lifecycle.wrappers import Written, write
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.system.places import detect_sdk
from flatcar_prefix.system.progress import TerminalProgress
from flatcar_prefix.wrappers import check, declaration, script, wanted
from flatcar_prefix.wrappers.wanted import DeclaredWrapper

HELP = "write, list or check the wrappers of a prefix"
VARIABLE = "FLATCAR_PREFIX_WRAPPER_DIR"


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
    not_used: str
    """A command that does not work with this Portage, and why; often empty."""
    package: str
    declared_in: str
    description: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser, optional=True)
    parser.add_argument("--all", action="store_true", help="of all prefixes, or all of --board")
    parser.add_argument(
        "--wrapper-dir", type=Path, metavar="DIR", help="move the wrappers to this directory"
    )
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
    volume_arguments(parser)


def changes(args: argparse.Namespace) -> bool:
    """Return whether the arguments request that wrappers be written."""
    return not (args.list or args.check)


def run(args: argparse.Namespace) -> int:
    """Write the wrappers, list them or check them; return the exit code."""
    _refuse_combinations(args)
    prefixes = _prefixes(args)
    if args.list:
        return _list(prefixes, as_json=args.json)
    if args.check:
        return _check(prefixes, as_json=args.json)
    for path in declaration.refused():
        messages.warning(f"ignored {path}: others than root can write it or a parent directory")
    directory = args.wrapper_dir.absolute() if args.wrapper_dir else None
    with TerminalProgress(quiet=args.json or args.quiet) as say:
        written = [write(prefix, wrapper_dir=directory, say=say) for prefix in prefixes]
    if args.json:
        paths = [os.fspath(path) for each in written for path in each.changed]
        print(to_json(paths), end="")
    quiet, moved = args.json or args.quiet, directory is not None
    return max((_tell(each, quiet=quiet, moved=moved) for each in written), default=0)


def _refuse_combinations(args: argparse.Namespace) -> None:
    if bool(args.name) == args.all:
        raise UsageError(
            "the name of the prefix is missing" if not args.all else "--all takes no name",
            hint="Name a prefix, or write --all.",
        )
    if args.wrapper_dir and (args.list or args.check):
        raise UsageError(
            "--wrapper-dir moves the wrappers, so it cannot be combined with --list or --check",
            hint="Remove --wrapper-dir, --list or --check.",
        )


def _prefixes(args: argparse.Namespace) -> list[Prefix]:
    if not args.all:
        return [named_prefix(args)]
    return [p for p in registry.list_prefixes() if args.board in (None, p.board.name)]


def _tell(written: Written, *, quiet: bool, moved: bool) -> int:
    """Report the changes and the names in use; return the exit code."""
    prefix = written.prefix
    for path in () if quiet else written.changed:
        there = os.path.lexists(path)
        messages.info(f"{'wrote' if there else 'removed'} {path}")
    if written.taken:
        taken = ", ".join(map(os.fspath, written.taken))
        messages.error(f"{taken}: exists and was not created by flatcar-prefix")
        messages.hint("Move it away and repeat the command; all full names exist.")
    elif not written.changed and not quiet:
        messages.info(_all_well(prefix))
    wanted = detect_sdk().wrapper_dir.absolute()
    if environ.value(VARIABLE) and wanted != prefix.wrapper_dir and not moved:
        messages.warning(f"{VARIABLE} names {wanted}, but the wrappers are in {prefix.wrapper_dir}")
        messages.hint(f"Move them: flatcar-prefix wrappers {prefix.id} --wrapper-dir {wanted}")
    return 1 if written.taken else 0


def _all_well(prefix: Prefix) -> str:
    count = len(declaration.tools())
    return f"all {count} wrappers of {prefix.id} in {prefix.wrapper_dir} are up to date"


def listed(prefix: Prefix) -> list[Listed]:
    """Return all wrappers of ``prefix`` with the program that each runs."""
    return [_listed(wrapper) for wrapper in wanted.wrappers(prefix)]


def _listed(wrapper: DeclaredWrapper) -> Listed:
    prefix, tool = wrapper.prefix, wrapper.tool
    probe = wanted.probed(prefix, tool)
    at = probe.path if tool.probe else script.found(prefix, tool)
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
        not_used=probe.passed_over,
        package=tool.package,
        declared_in=os.fspath(tool.path),
        description=tool.description,
    )


def _list(prefixes: Sequence[Prefix], *, as_json: bool) -> int:
    rows = [row for prefix in prefixes for row in listed(prefix)]
    if as_json:
        print(to_json([vars(row) for row in rows]), end="")
        return 0
    shown = [("wrapper", "tool", "root", "entry", "installed")]
    shown += [(r.wrapper, r.tool, r.root, r.entry, r.answers or f"no ({r.package})") for r in rows]
    _table(shown)
    for row in rows:
        if row.not_used:
            messages.warning(f"{row.tool} does not use {row.not_used}")
    messages.info(
        f"{sum(row.installed for row in rows)} of {len(rows)} tools can be used on this machine;"
        " the others start to work when their package is installed"
    )
    return 0


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        columns = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(columns).rstrip())


def _check(prefixes: Sequence[Prefix], *, as_json: bool) -> int:
    checked = [(prefix, check.check(prefix)) for prefix in prefixes]
    findings = [finding for _, found in checked for finding in found]
    if as_json:
        rows = [{"path": os.fspath(f.path), "state": f.state, "reason": f.reason} for f in findings]
        print(to_json(rows), end="")
        return 1 if findings else 0
    for prefix, found in checked:
        _tell_findings(prefix, found)
    return 1 if findings else 0


def _tell_findings(prefix: Prefix, findings: Sequence[check.Finding]) -> None:
    if not findings:
        messages.info(_all_well(prefix))
        return
    for finding in findings:
        messages.error(f"{finding.state}: {finding.path} {finding.reason}")
    first = "Write the wrappers again"
    if any(finding.state == check.IN_THE_WAY for finding in findings):
        first = "Move away the files that are in the way, then write the wrappers again"
    messages.hint(f"{first}: flatcar-prefix wrappers {prefix.spelled}")
