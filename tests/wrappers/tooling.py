# SPDX-License-Identifier: BSD-3-Clause
"""Helpers for the tests of wrappers: recorders, declarations, an ordinary user."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from machine import InUse, Machine, Run

ORDINARY = 65534
"""The user ID of the ordinary user, if root runs the tests."""

RECORDER = """\
#!/bin/sh
# Records arguments, environment, user, and the files of the prefix.
set -eu
: >"@OUT@/words"
[ "$#" = 0 ] || printf '%s\\0' "$@" >"@OUT@/words"
env -0 >"@OUT@/env"
id -u >"@OUT@/uid"
pwd >"@OUT@/cwd"
ls -a @EPREFIX@ >"@OUT@/seen" 2>/dev/null || :
cat @EPREFIX@/etc/which-root >"@OUT@/root" 2>/dev/null || :
exit 23
"""

GREETING = """
src_install() {
	insinto /usr/share/greeting
	newins - text <<<"hello"
	insinto /etc/greeting
	newins - conf <<<"volume = 1"
	newbin - greet <<<"a program"
}
"""


@dataclass
class Recorded:
    """The record of one call of a recorder."""

    code: int
    words: list[str]
    env: dict[str, str]
    uid: int
    cwd: str
    seen: list[str]
    root: str
    stderr: str


@dataclass
class Recorder:
    """A program on PATH that replaces a tool that no package registry offers."""

    directory: Path

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    def __post_init__(self) -> None:
        self.bin.mkdir(parents=True)
        (self.directory / "out").mkdir()
        self.directory.chmod(0o755)
        (self.directory / "out").chmod(0o777)

    def install(self, command: str, eprefix: str) -> None:
        program = self.bin / command
        text = RECORDER.replace("@OUT@", str(self.directory / "out"))
        program.write_text(text.replace("@EPREFIX@", eprefix))
        program.chmod(0o755)

    def read(self, run: Run) -> Recorded:
        out = self.directory / "out"
        words = (out / "words").read_bytes().decode().split("\0")[:-1]
        pairs = (p.partition("=") for p in (out / "env").read_bytes().decode().split("\0") if p)
        recorded = Recorded(
            code=run.returncode,
            words=words,
            env={k: v for k, _, v in pairs},
            uid=int((out / "uid").read_text()),
            cwd=(out / "cwd").read_text().rstrip("\n"),
            seen=(out / "seen").read_text().split(),
            root=(out / "root").read_text().strip() if (out / "root").exists() else "",
            stderr=run.stderr,
        )
        for path in out.iterdir():
            path.unlink()
        return recorded


def declare(machine: Machine, name: str, text: str) -> Path:
    """Write a declaration to the user's directory."""
    path = machine.base / "home/.config/flatcar-prefix/wrappers.d" / f"{name}.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def checked(prefix: InUse) -> list[dict[str, str]]:
    """Return the findings of ``--check --json``."""
    found = prefix.machine.fp("wrappers", f"{prefix.name}-{prefix.board}", "--check", "--json")
    assert found.returncode == (1 if json.loads(found.stdout) else 0), found.stderr
    return list(json.loads(found.stdout))


def as_ordinary_user(*words: str | Path, user: int = ORDINARY) -> list[str]:
    """Return a command line that runs ``words`` as an ordinary user."""
    argv = [os.fspath(word) for word in words]
    if os.geteuid():
        return argv
    number = str(user)
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--", *argv]


SHELL = """\
[tool]
description = a shell
package = app-shells/dash
root = final
entry = view
command = sh
"""


def shell(prefix: InUse) -> Path:
    """Write a wrapper of the shell and return its path."""
    declare(prefix.machine, "viewsh", SHELL)
    done = prefix.machine.fp("wrappers", f"{prefix.name}-{prefix.board}")
    assert done.returncode == 0, done.stderr
    return prefix.wrapper("viewsh")
