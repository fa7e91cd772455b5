# SPDX-License-Identifier: BSD-3-Clause
"""Find and replace the programs in the text of a unit.

See "Command lines" in systemd.service(5), and systemd.syntax(7) for lines and quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_LINES = re.compile(r"[ \t]*[#;][^\n]*\n?|(?:[^\n]*\\\n(?:[ \t]*[#;][^\n]*\n)*)*[^\n]*\n?")
"""A comment, or a line with its continuation lines; comments between them do not end it."""

_EXEC = re.compile(r"\s*(?P<key>Exec(?:Condition|(?:Start|Stop)(?:Pre|Post)?|Reload(?:Post)?))\s*=")
_CONDITION = re.compile(
    r"(?P<before>\s*(?:Condition|Assert)FileIsExecutable\s*=\s*[|!]*)(?P<path>/[^\n]*?)(?P<after>\s*)"
)
_BLANK = re.compile(r"(?:[ \t\n]|\\\n(?:[ \t]*[#;][^\n]*\n)*)+")
_PIECE = re.compile(
    r'"(?P<double>(?:[^"\\]|\\.)*)"?|\'(?P<single>(?:[^\'\\]|\\.)*)\'?'
    r"|\\(?!\n)(?P<escape>x[0-9a-fA-F]{2}|.)|(?P<plain>[^\\\"' \t\n]+)",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"s": " ", "t": "\t", "n": "\n", "r": "\r"}
_PREFIX = re.compile(r"[-@:+!|]*")

Find = Callable[[str], str]
"""A function that returns the new name of a program, or the same name to keep it."""


class Word(NamedTuple):
    """A word of a command line, with its position in the text."""

    text: str
    start: int
    end: int


class Started(NamedTuple):
    """A program that a unit starts."""

    key: str
    program: str


def replaced(text: str, find: Find) -> tuple[str, list[Started]]:
    """Return a unit's text with its programs renamed by ``find``, and the unchanged programs."""
    out: list[str] = []
    kept: list[Started] = []
    for match in _LINES.finditer(text):
        line = match[0]
        if found := _EXEC.match(line):
            line, programs = _commands(line, found.end(), find)
            kept += [Started(found["key"], program) for program in programs]
        elif found := _CONDITION.fullmatch(line):
            line = found["before"] + find(found["path"]) + found["after"]
        out.append(line)
    return "".join(out), kept


def _commands(line: str, start: int, find: Find) -> tuple[str, list[str]]:
    out, done = "", 0
    kept = []
    first = True
    for word in words(line, start):
        if word.text == ";" and line[word.start : word.end] == ";":
            first = True
        elif first:
            first = False
            prefix = _PREFIX.match(word.text)
            assert prefix
            program = word.text[prefix.end() :]
            new = find(program) if program else program
            if new == program:
                kept += [program] if program else []
                continue
            out += line[done : word.start] + _with(line[word.start : word.end], word, program, new)
            done = word.end
    return out + line[done:], kept


def _with(raw: str, word: Word, program: str, new: str) -> str:
    """Return the raw word with ``program`` replaced by ``new``."""
    if raw.count(program) == 1:
        return raw.replace(program, new)
    prefix = word.text[: len(word.text) - len(program)]
    escaped = new.replace("\\", "\\\\").replace('"', '\\"')
    return f'{prefix}"{escaped}"'


def words(line: str, start: int = 0) -> Iterator[Word]:
    """Yield the words of a command line, split and unquoted as systemd.syntax(7) describes."""
    at = start
    while True:
        if blank := _BLANK.match(line, at):
            at = blank.end()
        begin, text = at, ""
        while piece := _PIECE.match(line, at):
            if not piece[0]:
                break
            at = piece.end()
            quoted = piece["double"] if piece["double"] is not None else piece["single"]
            if quoted is not None:
                text += _ESCAPE.sub(lambda match: _unescaped(match[1]), quoted)
            elif piece["escape"] is not None:
                text += _unescaped(piece["escape"])
            else:
                text += piece["plain"]
        if at == begin:
            return
        yield Word(text, begin, at)


def _unescaped(escape: str) -> str:
    if len(escape) == 3:
        return chr(int(escape[1:], 16))
    return _ESCAPED.get(escape, escape)
