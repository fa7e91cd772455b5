# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that ``flatcar-prefix run`` and the bwrap wrapper share."""

from __future__ import annotations

import argparse

from flatcar_prefix import environ
from flatcar_prefix.errors import UsageError
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.sandbox.run import run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``flatcar-prefix run``, except the prefix's name."""
    parser.add_argument("--staging", action="store_true", help="run programs of the staging root")
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="SOURCE[:TARGET][:ro]",
        help="also mount this file or directory",
    )
    parser.add_argument("--network", action="store_true", help="share the machine's network")
    parser.add_argument(
        "--setenv", action="append", default=[], metavar="NAME=VALUE", help="set this variable"
    )
    parser.add_argument(
        "--trace-libs",
        action="store_true",
        help="print the path of each loaded library; fail if one is outside the prefix",
    )
    parser.add_argument("program", help="name of the program, or its path on the target")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run_command(prefix: Prefix, args: argparse.Namespace) -> int:
    """Run the program and return its exit code."""
    env = {key: v for key in ("TERM", "COLORTERM") if (v := environ.value(key))}
    for text in args.setenv:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{text!r} does not set a variable", hint="Write it as NAME=VALUE.")
        env[key] = value
    return run(
        prefix,
        [args.program, *args.arguments],
        bind=args.bind,
        network=args.network,
        trace_libs=args.trace_libs,
        root_kind="staging" if args.staging else "final",
        env=env,
    )
