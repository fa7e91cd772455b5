# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix completion``: print the completion script for a shell.

bash has a script of its own, which also completes the arguments of wrapped tools. shtab
generates those of zsh and fish from the parsers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle.stages import STAGES
from flatcar_prefix.prefix.record import BOOTSTRAPS
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.toolchain.find import KINDS

HELP = "print the completion script for a shell"
SHELLS = ("bash", "zsh", "fish")

_STAGES = [stage.name for stage in STAGES]
_VALUES = {
    "board": list(BOARDS),
    "bootstrap": list(BOOTSTRAPS),
    "toolchain": list(KINDS),
    "first_stage": _STAGES,
    "last_stage": _STAGES,
}

# The prefixes of this machine, as each shell lists them.
_NAMES = {
    "zsh": "_flatcar_prefix_names",
    "fish": "(flatcar-prefix list 2>/dev/null | string match -rg '^([^* ]+)')",
}
_PREAMBLE = {
    "zsh": """
_flatcar_prefix_names() {
  compadd -- ${${(f)"$(flatcar-prefix list 2>/dev/null)"}%% *}
}
# The wrappers complete as the tools that they run.
_flatcar_prefix_wrapper() {
  words[1]=${${words[1]:t}%%-prefix-*}
  service=${words[1]}
  _normal
}
compdef -p _flatcar_prefix_wrapper '*-prefix-*'
""",
    "fish": "",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the shell."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=" or ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    if args.shell == "bash":
        print((data_dir() / "completion/flatcar-prefix.bash").read_text(encoding="utf-8"), end="")
    else:
        print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """Return the completion script of zsh or fish for all commands of this program.

    Raise :class:`PrefixError` without shtab, which only this verb needs.
    """
    try:
        import shtab
    except ImportError:
        raise PrefixError(
            f"completion for {shell} needs the Python package shtab, which is not installed",
            hint=f"Run: {sys.executable} -m pip install shtab",
        ) from None
    from flatcar_prefix.cli.main import flatcar_prefix_parser, setup_prefix_parser

    texts = []
    preamble = _PREAMBLE[shell]
    for parser in (flatcar_prefix_parser(), setup_prefix_parser()):
        for action in _actions(parser):
            _complete(action, shtab.DIRECTORY)
        texts.append(shtab.complete(parser, shell=shell, preamble=preamble))
        preamble = ""
    return "\n".join(texts)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of a parser and of the parsers of its verbs."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)


def _complete(action: argparse.Action, directories: object) -> None:
    """Set shtab's completion for the values of an action, if argparse does not define it."""
    if action.dest in _VALUES:
        action.choices = _VALUES[action.dest]
    elif action.metavar == "<name>":
        action.complete = _NAMES  # type: ignore[attr-defined]
    elif action.dest.endswith("_dir") or action.dest in ("directory", "custom_ebuild_overlays"):
        action.complete = directories  # type: ignore[attr-defined]
