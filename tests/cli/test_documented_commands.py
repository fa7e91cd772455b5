# SPDX-License-Identifier: BSD-3-Clause
"""The command lines of the documentation parse, by the parsers of the commands themselves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import CHECKOUT

from flatcar_prefix.cli.main import flatcar_prefix_parser, setup_prefix_parser
from flatcar_prefix.cli.parser import Parser
from flatcar_prefix.errors import UsageError
from flatcar_prefix.wrappers import declaration

PAGES = sorted([CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")])

BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}((?:flatcar-prefix|setup_prefix) .*)", re.MULTILINE)
INLINE = re.compile(r"`(?:\./)?((?:flatcar-prefix|setup_prefix) [^`]+)`")
START = re.compile(r"(?:[$#] )?(?:sudo )?(?:\./)?((?:flatcar-prefix|setup_prefix) .*)")
ENDS = {"|", "||", "&&", ";", ">", ">>", "<"}


def in_blocks(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command line in the code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for block in [*BLOCK.findall(text), *INDENTED.findall(text)]:
        for line in block.replace("\\\n", " ").splitlines():
            if start := START.fullmatch(line.strip()):
                yield words_of(start[1])


def words_of(line: str) -> list[str]:
    """Return the words of the first command in a line of shell, without redirections."""
    lexer = shlex.shlex(re.sub(r"[<\[]([\w -]+)[>\]]", r"\1", line), posix=True)
    lexer.whitespace_split = True
    words = list(lexer)
    return words[: next((n for n, word in enumerate(words) if word in ENDS), len(words))]


def verb_parser(verb: str) -> Parser:
    subparsers = next(a for a in flatcar_prefix_parser()._actions if isinstance(a.choices, dict))
    assert isinstance(subparsers.choices, dict)
    assert verb in subparsers.choices, f"flatcar-prefix has no verb {verb}"
    found = subparsers.choices[verb]
    assert isinstance(found, Parser)
    return found


def test_each_command_line_parses() -> None:
    parsers = {"flatcar-prefix": flatcar_prefix_parser(), "setup_prefix": setup_prefix_parser()}
    wrong, checked = [], 0
    for page in PAGES:
        for program, *words in in_blocks(page):
            checked += 1
            try:
                parsers[program].parse_args(words)
            except UsageError as error:
                wrong.append(f"{page.name}: {program} {shlex.join(words)}: {error}")
            except SystemExit as status:  # --help and --version
                assert not status.code
    assert not wrong, "\n".join(wrong)
    assert checked > 25


def test_each_verb_and_flag_in_the_text_exists() -> None:
    wrong, checked = [], 0
    for page in PAGES:
        for code in INLINE.findall(page.read_text(encoding="utf-8")):
            program, *words = code.split(" -- ")[0].split()
            parser = setup_prefix_parser() if program == "setup_prefix" else verb_parser(words[0])
            for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", " ".join(words)):
                checked += 1
                if flag.replace("_", "-") not in parser._option_string_actions:
                    wrong.append(f"{page.name}: {code}: no {flag}")
    assert not wrong, "\n".join(wrong)
    assert checked > 20


def test_each_wrapper_in_the_documentation_is_one_of_a_tool() -> None:
    tools = {*declaration.tools(), "find"}  # docs/adding-a-tool.md declares find
    for page in PAGES:
        for name in re.findall(r"(?<![\w/-])([a-z][a-z-]*)-prefix-my-", page.read_text()):
            assert name in tools, f"{page.name}: {name}"


@pytest.mark.parametrize("page", ["python.md", "shipping.md", "pools.md", "your-own-software.md"])
def test_a_page_uses_one_prefix_name(page: str) -> None:
    verbs = ("run", "sysext", "report", "binhost", "overlays", "verify", "show", "uninstall")
    named = {
        words[2]
        for words in in_blocks(CHECKOUT / "docs" / page)
        if words[0] == "flatcar-prefix" and words[1] in verbs
    }
    assert len(named) == 1, named


@pytest.mark.parametrize("line", ["flatcar-prefix shwo x", "setup_prefix --no-such a /opt/a"])
def test_a_wrong_line_would_be_noticed(line: str) -> None:
    program, *words = words_of(line)
    parser = setup_prefix_parser() if program == "setup_prefix" else flatcar_prefix_parser()
    with pytest.raises(UsageError):
        parser.parse_args(words)
