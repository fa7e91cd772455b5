# SPDX-License-Identifier: BSD-3-Clause
"""What the comparisons share: a prefix, checkouts of other tools, and the allowed differences."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from machine import InUse, Machine, Overlay, Run

GREETING = """
src_install() {
	insinto /usr/share/greeting
	newins - text <<<"hello"
	insinto /etc/greeting
	newins - conf <<<"volume = 1"
	newbin - greet <<<"a program"
}
"""


class Answer(NamedTuple):
    """The result of one call."""

    code: int
    out: str
    err: str


def answer(run: Run, normal: Callable[[str], str]) -> Answer:
    return Answer(run.returncode, normal(run.stdout), normal(run.stderr))


@dataclass(frozen=True)
class Allowed:
    """A difference that is right, in calls that match a regular expression."""

    calls: str
    why: str

    def covers(self, call: str) -> bool:
        return re.fullmatch(self.calls, call) is not None


class Comparison:
    """Counts and prints the results of a comparison."""

    def __init__(self, name: str, allowed: Iterable[Allowed]) -> None:
        self.name, self.allowed = name, tuple(allowed)
        self.same = self.explained = self.different = 0
        self.used: set[str] = set()

    def add(self, call: str, theirs: Answer, ours: Answer) -> None:
        if theirs == ours:
            self.same += 1
            return
        reason = next((one for one in self.allowed if one.covers(call)), None)
        if reason is not None:
            self.explained += 1
            self.used.add(reason.calls)
            print(f"{self.name}: allowed: {call}: {reason.why}", flush=True)
            return
        self.different += 1
        print(f"{self.name}: DIFFERENT: {call}", flush=True)
        for who, what in (("theirs", theirs), ("ours", ours)):
            print(f"--- {who}: exit {what.code}\n{what.out[-2000:]}{what.err[-2000:]}", flush=True)

    def end(self) -> int:
        """Print the counts; return the number of differences that are not allowed."""
        total = self.same + self.explained + self.different
        print(
            f"{self.name}: {total} calls: {self.same} the same, {self.explained} allowed,"
            f" {self.different} different"
        )
        return self.different


@dataclass(frozen=True)
class Checkouts:
    """The directories of tools that no package registry has, if they are given."""

    gentoolkit: Path | None = None
    portage_utils: Path | None = None

    def programs(self) -> set[str]:
        """Return the names of the tools in the checkouts."""
        found: set[str] = set()
        if self.gentoolkit:
            files = (path for path in (self.gentoolkit / "bin").iterdir() if _is_script(path))
            found |= {path.name for path in files}
        if self.portage_utils:
            applets = (self.portage_utils / "applets.h").read_text()
            found |= set(
                re.findall(r'\{"(q\w*)",', re.sub(r"/\*.*?\*/", "", applets, flags=re.DOTALL))
            )
        return found

    def path(self, shims: Path) -> str:
        """Return a PATH on which the tools of the checkouts come first."""
        shims.mkdir(parents=True, exist_ok=True)
        for name in self.programs():
            if self.gentoolkit and (program := self.gentoolkit / "bin" / name).exists():
                _write_shim(shims / name, program)
            elif self.portage_utils and not (shims / name).is_symlink():
                (shims / name).symlink_to(self.portage_utils / "q")
        return f"{shims}:{os.environ['PATH']}"


def _is_script(path: Path) -> bool:
    """Return whether a file of gentoolkit's ``bin`` is a tool; ``.sh`` is the text of one."""
    return path.suffix == "" and path.read_bytes()[:2] == b"#!"


def _write_shim(shim: Path, program: Path) -> None:
    """Write a script that runs a program of gentoolkit with this Python."""
    pym = f"PYTHONPATH={shlex.quote(str(program.parents[1] / 'pym'))}"
    runs = shlex.quote(sys.executable) if b"python" in program.read_bytes()[:80] else "bash"
    shim.write_text(f'#!/bin/sh\n{pym} exec {runs} {shlex.quote(str(program))} "$@"\n')
    shim.chmod(0o755)


def prefix_in(base: Path) -> InUse:
    """Return the prefix in ``base`` with two packages in both roots; set it up if needed."""
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o755)
    machine = Machine(base / "machine")
    prefix = InUse(machine, "tooled", "/usr/local/tooled")
    if (base / "complete").exists():
        return prefix
    overlay = Overlay(base / "overlay", "tool-tests")
    overlay.ebuild("app-misc/greeting-1.0", GREETING, iuse="+loud quiet")
    overlay.ebuild("app-misc/letter-1.0", rdepend="app-misc/greeting")
    overlay.ebuild("app-misc/letter-2.0", rdepend="app-misc/greeting", keywords="~amd64")
    overlay.ebuild("app-misc/masked-1.0", keywords="")
    overlay.ebuild("app-misc/blocking-1.0", rdepend="!app-misc/greeting")
    overlay.ebuild("app-misc/slotted-1.0", slot="1")
    overlay.ebuild("app-misc/slotted-2.0", slot="2", rdepend="app-misc/letter")
    overlay.write("eclass/tool-tests.eclass", "# nothing\n")
    overlay.write("licenses/Tool-Tests", "Do as you like.\n")
    prefix = machine.setup("tooled", f"--custom_ebuild_overlays={overlay.path}")
    prefix.install("--quiet", "app-misc/letter")
    (base / "complete").touch()
    return prefix
