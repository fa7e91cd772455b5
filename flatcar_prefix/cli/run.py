# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix run``: run a program in a sandbox with only the prefix."""

from __future__ import annotations

import argparse

from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.sandbox import command

HELP = "run a program in a sandbox with only the prefix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser)
    command.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the program and return its exit code."""
    return command.run_command(named_prefix(args), args)
