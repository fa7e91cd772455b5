# SPDX-License-Identifier: BSD-3-Clause
"""Compare the emerge wrapper with plain emerge in one root.

Plain emerge gets the variables that ``flatcar-prefix show --env`` prints. Calls that merge run
twice in the same state: the packages that they need are removed before each run.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from comparing import Allowed, Comparison, answer, prefix_in
from machine import InUse

QUERIES = r"""
--pretend app-misc/letter
--pretend --verbose --tree app-misc/slotted
-p --quiet app-misc/slotted:1 app-misc/letter
-pv =app-misc/letter-2.0
-p app-misc/masked
-p app-misc/blocking
-p app-misc/nothing
-p greeting
-p --onlydeps app-misc/letter
-p --nodeps app-misc/slotted
-p --usepkg app-misc/letter
-p --usepkgonly app-misc/letter
-p --getbinpkg=n --noreplace app-misc/letter
-puDN @world
-p @system
-p @nothing
-p --autounmask=y =app-misc/letter-2.0
-p --columns app-misc/letter
-p --with-bdeps=y --deep app-misc/letter
-p --unmerge app-misc/letter
-p --unmerge app-misc/nothing
-p --depclean
-p --depclean app-misc/greeting
-p --prune
-p --deselect app-misc/letter
-p --resume
-p --skipfirst
--search greeting
--search @greet
--searchdesc tests
--list-sets
--version
--info app-misc/greeting
--check-news
--config app-misc/greeting
--nonsense
--pretend --jobs=x app-misc/letter
--pretend '>>bad'
--pretend ./nothing.ebuild
--moo
"""
DEEDS = (
    "--oneshot app-misc/slotted:1",
    "--oneshot --quiet app-misc/slotted:1",
    "--oneshot --usepkgonly app-misc/slotted:1",
    "--unmerge --quiet app-misc/nothing",
    "--deselect app-misc/letter",
)
"""Calls that change the root."""

ALLOWED = (
    Allowed(r".* app-misc/nothing", "the wrapper adds the repositories that it searched"),
    Allowed(
        r".* (--nonsense|--pretend --jobs=x .*)",
        "emerge prints its options in another order in each process",
    ),
)

TIMES = (
    (re.compile(r" \* waiting for lock on .*\n"), ""),
    (re.compile(r"(Dependency resolution took) [\d.]+ s"), r"\1 N s"),
    (re.compile(r"Load avg: [\d., ]+"), "Load avg: N"),
    (re.compile(r"\d{8}-\d{6}"), "DATE"),
    (re.compile(r"(KiB Mem|KiB Swap|Timestamp of repository).*"), r"\1"),
    (re.compile(r"-\d+(\.gpkg\.tar|::tool-tests)"), r"-N\1"),
    (re.compile(r"(slotted-1\.0)-\d+"), r"\1-N"),
    (re.compile(r"\x1b\][^\x07]*\x07"), ""),
)


def normal(text: str) -> str:
    for pattern, instead in TIMES:
        text = pattern.sub(instead, text)
    return text


def _prepare(prefix: InUse, kind: str) -> None:
    """Remove app-misc/slotted, and put app-misc/letter into the world file."""
    env = {"CLEAN_DELAY": "0"}
    prefix.plain(kind, "emerge", "--quiet", "--unmerge", "app-misc/slotted", env=env)
    prefix.plain(kind, "emerge", "--quiet", "--noreplace", "app-misc/letter", env=env)


def run(base: Path, *, only: str = "") -> int:
    """Compare all calls that contain ``only``; return the number of differences that are not allowed."""
    prefix = prefix_in(base)
    comparison = Comparison("emerge", ALLOWED)
    prefix.install("--stage", "--quiet", "--buildpkgonly", "app-misc/slotted:1")
    for kind in ("staging", "final"):
        variables = prefix.variables(kind)
        variables["PATH"] = f"{prefix.staging_dir}/tools/bin:{prefix.machine.environment()['PATH']}"
        deeds = DEEDS if kind == "staging" else DEEDS[2:]
        for line in (*QUERIES.strip("\n").splitlines(), *deeds):
            if only not in line:
                continue
            args, answers = shlex.split(line), []
            for command in (_plain(), [str(prefix.wrapper("emerge")), f"--{kind}"]):
                if line in DEEDS:
                    _prepare(prefix, kind)
                env = variables if command == _plain() else {}
                done = prefix.machine.run(
                    *command, *args, env={**env, "CLEAN_DELAY": "0"}, timeout=300
                )
                answers.append(answer(done, normal))
            comparison.add(f"{kind} {line}", *answers)
    return comparison.end()


def _plain() -> list[str]:
    import sys

    return [sys.executable, str(Path(sys.executable).parent / "emerge")]
