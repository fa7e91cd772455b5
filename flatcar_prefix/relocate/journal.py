# SPDX-License-Identifier: BSD-3-Clause
"""The progress of a relocation, so that a killed one continues where it stopped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.relocate.move import Move

NAME = ".flatcar-prefix-relocation"
"""The directory in the tree that has the journal and the temporary files."""


class Journal:
    """A list of steps in a file. A step is written before its last action.

    New files have their final content before they get their final name, and the journal has
    their inode number then. So a file is either old, or complete and known.
    """

    def __init__(self, root: Path, move: Move) -> None:
        self.directory = root / NAME
        self.done: set[int] = set()
        """The inode numbers of files and links that are complete."""
        self.kept: set[int] = set()
        """The inode numbers of old files whose new file is kept for further hard links."""
        self.resized: dict[str, tuple[int, int]] = {}
        """The sizes, old and new, of text files, by path."""
        self.times: dict[str, tuple[int, int]] = {}
        """The times of changed directories, by path."""
        self.moves: list[str] | None = None
        """The directories that get another name, deepest first; None before this stage."""
        self.moved: dict[int, bool] = {}
        """The numbers of the moves that began, and whether each is complete."""
        times = root.stat()
        self._read(move)
        journal = self.directory / "journal"
        self._file = open(journal, "a", encoding="utf-8")  # until close()  # noqa: SIM115
        self.write("move", os.fsdecode(move.old), os.fsdecode(move.new))
        self.write("times", "", times.st_atime_ns, times.st_mtime_ns)

    def _read(self, move: Move) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        for path in self.directory.iterdir():
            if path.name.endswith(".new"):
                path.unlink()
            elif path.name.isdigit():
                self.kept.add(int(path.name))
        try:
            text = (self.directory / "journal").read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        complete, _, torn = text.rpartition("\n")
        if torn:  # A line without its end was not written completely.
            os.truncate(self.directory / "journal", len((complete + "\n").encode()))
        for line in complete.splitlines():
            kind, *values = json.loads(line)
            if kind == "move" and [os.fsencode(value) for value in values] != [move.old, move.new]:
                raise PrefixError(
                    f"{self.directory.parent} is being moved from {values[0]} to {values[1]}",
                    hint="Finish that first, or unpack the files again.",
                )
            self._take(kind, values)

    def _take(self, kind: str, values: list[Any]) -> None:
        if kind == "done":
            self.done.add(values[0])
        elif kind == "resized":
            self.resized[values[0]] = (values[1], values[2])
        elif kind == "times":
            self.times.setdefault(values[0], (values[1], values[2]))
        elif kind == "moves":
            self.moves = values[0]
        elif kind in ("begin", "end"):
            self.moved[values[0]] = kind == "end"

    def write(self, kind: str, *values: Any) -> None:
        """Write and take one step."""
        self._file.write(json.dumps([kind, *values]) + "\n")
        self._file.flush()
        self._take(kind, list(values))

    def temporary(self, inode: int) -> Path:
        """Return the name of the new file in place of the old one with this inode number."""
        return self.directory / f"{inode}.new"

    def shared(self, inode: int) -> Path:
        """Return the kept name of the new file in place of one with several names."""
        return self.directory / str(inode)

    def close(self, *, finished: bool) -> None:
        """Close the journal; remove it if the relocation is ``finished``."""
        self._file.close()
        if finished:
            shutil.rmtree(self.directory)
