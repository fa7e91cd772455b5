# SPDX-License-Identifier: BSD-3-Clause
"""``bwrap-prefix-<name>``: run a shell or a command in a sandbox that contains only the prefix.

The arguments are the staging directory, the kind of root, and those of
:mod:`flatcar_prefix.sandbox.run`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Root
from flatcar_prefix.sandbox import command
from flatcar_prefix.system import entry

NO_PROGRAM = "\0"
"""The placeholder for a program that the arguments do not name."""

SHELLS = ("bin/bash", "usr/bin/bash", "bin/sh", "usr/bin/sh")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"See {self.prog} --help.")


class NoShellError(PrefixError):
    """The prefix contains no shell; the exit code is that of a missing command."""

    exit_code = 127


def main(argv: Sequence[str]) -> int:
    """Run ``argv`` and return the exit code of the program."""
    return entry.run(lambda: _run(argv), program="bwrap", logs=Path(argv[0], "logs"))


def _run(argv: Sequence[str]) -> int:
    prefix = record.read(Path(argv[0]))
    parser = _Parser(prog=f"bwrap-prefix-{prefix.name}", allow_abbrev=False)
    command.add_arguments(parser)
    asked, _rest = parser.parse_known_args([*argv[2:], NO_PROGRAM])
    root = prefix.root("staging" if asked.staging else argv[1])
    words = [_shell(root)] if asked.program == NO_PROGRAM else []
    args = parser.parse_args([*argv[2:], *words])
    args.staging = root.kind == "staging"
    return command.run_command(prefix, args)


def _shell(root: Root) -> str:
    """Return the path of a root's shell on the target."""
    for shell in SHELLS:
        if (root.eroot / shell).exists():
            return f"{root.prefix.eprefix}/{shell}"
    raise NoShellError(
        f"there is no shell in the {root.kind} root of {root.prefix.id}; it is in app-shells/bash",
        hint=f"Name a program, or install one: emerge-prefix-{root.prefix.id} app-shells/bash.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
