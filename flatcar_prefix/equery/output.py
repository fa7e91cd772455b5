# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: PTH110
# Paths are strings, as in Portage; importing pathlib takes time.
"""Output: colours, line wrapping, and the order of the two streams."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TextIO

from flatcar_prefix.system.terminal import allows_colour

_ESC = "\x1b["
_RESET = f"{_ESC}39;49;00m"
# The terminal's escape codes by Portage's colour names.
_CODES = {
    "bold": "01m",
    "red": "31;01m",
    "darkred": "31m",
    "green": "32;01m",
    "darkgreen": "32m",
    "yellow": "33;01m",
    "darkyellow": "33m",
    "blue": "34;01m",
    "purple": "35m",
    "turquoise": "36;01m",
    "darkgray": "30;01m",
}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PIPED_WIDTH = 600
_DEFAULT_WIDTH = 80


class Screen:
    """Both output streams, and the settings for verbosity, colour and width."""

    def __init__(self, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._codes: dict[str, str] = {}
        self.quiet = False
        self.debug = bool(env.get("DEBUG"))
        self.terminal = stdout.isatty()
        self.piping = not self.terminal
        # Set before the options are parsed, so --no-pipe does not change the width of a pipe.
        self.width = _terminal_width(stdout, env) - 1 if self.terminal else _PIPED_WIDTH
        self.color = allows_colour(env)
        self._codes.update({name: _ESC + code for name, code in _CODES.items()})

    @property
    def verbose(self) -> bool:
        return not (self.quiet or self.piping)

    def use_color_map(self, config_root: str) -> None:
        """Use the colours of the user's color.map, if it exists, as Portage does."""
        if not self.color or not os.path.exists(os.path.join(config_root, "etc/portage/color.map")):
            return
        from flatcar_prefix.portage_api.packages import colour_codes

        codes = colour_codes(config_root)
        self._codes = {name: codes[name] for name in _CODES}

    def out(self, text: object = "", end: str = "\n") -> None:
        self._stdout.write(f"{text}{end}")

    def err(self, text: str) -> None:
        # Flush first, so that the order is right if both streams go to the same file.
        self._stdout.flush()
        self._stderr.write(text)
        self._stderr.flush()

    def error(self, text: str) -> None:
        self.err(f"{self.paint('red', '!!! ')}{text}\n")

    def warn(self, text: str) -> None:
        self.err(f"!!! {text}\n")

    def paint(self, color: str, text: object) -> str:
        return f"{self._codes[color]}{text}{_RESET}" if self.color else str(text)

    def emph(self, text: object) -> str:
        return self.paint("bold", text)

    path = slot = emph

    def cpv(self, text: object) -> str:
        return self.paint("green", text)

    command = cpv

    def number(self, text: object) -> str:
        return self.paint("turquoise", text)

    section = symlink = number

    def useflag(self, text: object, *, enabled: bool = True) -> str:
        return self.paint("red" if enabled else "blue", text)

    def keyword(self, text: object, *, stable: bool = True, masked: bool = False) -> str:
        return self.paint("green" if stable else "red" if masked else "blue", text)

    def fill(self, text: str, first: str = "", rest: str = "") -> str:
        """Return `text` wrapped to the terminal's width; colours do not count."""
        return fill(text, self.width, first, rest)


def fill(text: str, width: int, first: str = "", rest: str = "") -> str:
    """Return `text` wrapped at white space; remove it at line ends, and cut long words."""
    chunks = [chunk for chunk in re.split(r"(\s+)", _flatten(text)) if chunk]
    chunks.reverse()
    lines: list[str] = []
    while chunks:
        indent = rest if lines else first
        room = width - visible(indent)
        if lines and chunks[-1].isspace():
            chunks.pop()
        line = _one_line(chunks, room)
        if line:
            lines.append(indent + "".join(line))
    return "\n".join(lines)


def _one_line(chunks: list[str], room: int) -> list[str]:
    """Remove the chunks that fit into `room` columns from the end of `chunks`; return them."""
    line: list[str] = []
    used = 0
    while chunks and used + visible(chunks[-1]) <= room:
        line.append(chunks.pop())
        used += visible(line[-1])
    if chunks and visible(chunks[-1]) > room:
        cut = _cut(chunks[-1], 1 if room < 1 else room - used)
        line.append(chunks[-1][:cut])
        chunks[-1] = chunks[-1][cut:]
    if line and line[-1].isspace():
        line.pop()
    return line


def _cut(word: str, room: int) -> int:
    """Return where to cut a word that is too long: after its last hyphen, if it has one."""
    hyphen = word.rfind("-", 0, room)
    return hyphen + 1 if hyphen > 0 and word[:hyphen].strip("-") else room


def _flatten(text: str) -> str:
    return re.sub(r"[\t\n\v\f\r]", " ", text.expandtabs())


def visible(text: str) -> int:
    """Return the number of columns of `text`."""
    return len(_ANSI.sub("", text)) if "\x1b" in text else len(text)


def _terminal_width(stdout: TextIO, env: Mapping[str, str]) -> int:
    """Return the width of the terminal, as gentoolkit does.

    COLUMNS counts only for a terminal that does not report its width: a shell may have set it
    before the window was resized.
    """
    try:
        if columns := os.get_terminal_size(stdout.fileno()).columns:
            return columns
    except (OSError, ValueError):
        return _DEFAULT_WIDTH
    given = env.get("COLUMNS", "")
    return int(given) if given.isdigit() and int(given) else _DEFAULT_WIDTH
