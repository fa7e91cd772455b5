# SPDX-License-Identifier: BSD-3-Clause
"""The stages that fill staging, and the first packages of final.

In order, each with the reason why it comes there. A stage is recorded as done once it
is, so that what was interrupted goes on where it stopped.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flatcar_prefix import configroot, prefix as prefixes, process, sdk
from flatcar_prefix.errors import BuildError, UsageError
from flatcar_prefix.messages import Quiet
from flatcar_prefix.prefix import Prefix

NO_PACKAGES = "none"

LED_ASTRAY = ("EMERGE_DEFAULT_OPTS", "USE", "ROOT", "PORTAGE_CONFIGROOT", "EPREFIX", "SYSROOT")
"""Variables of the caller that are no business of a bootstrap, which asks nobody."""


@dataclass(frozen=True)
class Stage:
    """One step of the bootstrap."""

    name: str
    final: bool
    """Whether final is filled, too, and not staging alone."""
    atoms: tuple[str, ...]
    why: str


STAGES = (
    Stage("baselayout", False, ("sys-apps/baselayout",), "directories, before what fills them"),
    Stage("os-headers", False, ("virtual/os-headers",), "the C library is built against them"),
    Stage("libc", False, ("virtual/libc",), "everything is built against it"),
    Stage("runtime", False, ("prefix/gcc-runtime",), "nearly everything is linked with it"),
    Stage("system", False, ("@system",), "what the profile takes for granted"),
    Stage("final", True, configroot.RUNTIME, "what programs need to run"),
)


def stages(prefix: Prefix) -> tuple[Stage, ...]:
    """Return the stages of this prefix, in order.

    A prefix with an imported C library is for trials, and builds what @system has when
    it is needed. ``with_gcc`` puts a compiler into staging.
    """
    if prefix.bootstrap == NO_PACKAGES:
        return ()
    own = [s for s in STAGES if s.name != "system" or prefix.bootstrap == "source"]
    if prefix.with_gcc:
        own = [
            replace(s, atoms=(*s.atoms, "sys-devel/gcc")) if s.name == "runtime" else s for s in own
        ]
    return tuple(own)


def check_names(*given: str | None) -> None:
    """Raise :class:`UsageError` for a name that is no stage's."""
    names = [stage.name for stage in STAGES]
    for name in given:
        if name is not None and name not in names:
            raise UsageError(f"there is no stage {name!r}", hint=f"Choose: {', '.join(names)}.")


def pending(
    prefix: Prefix, *, first: str | None = None, until: str | None = None
) -> Iterator[Stage]:
    """Yield the stages that are not done, up to ``until``; from ``first`` on, done or not."""
    check_names(first, until)
    begun = False
    for stage in stages(prefix):
        begun = begun or stage.name == first
        if begun or (first is None and stage.name not in prefix.stages_done):
            yield stage
        if stage.name == until:
            return


def bootstrap(
    prefix: Prefix,
    *,
    say: Quiet,
    first: str | None = None,
    until: str | None = None,
    update: bool = False,
) -> Prefix:
    """Run the stages that are left; return the prefix with its record brought up to date.

    ``update`` brings what is installed up to date rather than leaving it alone.
    :class:`BuildError` names the stage, the package and the log.
    """
    left = list(pending(prefix, first=first, until=until))
    for number, stage in enumerate(left, start=1):
        label = f"stage {number} of {len(left)}, {stage.name} ({stage.why})"
        run_stage(prefix, stage, label=label, say=say, update=update)
        if stage.name not in prefix.stages_done:
            done = (*prefix.stages_done, stage.name)
            prefix = prefixes.write(replace(prefix, stages_done=done))
    return prefix


def is_complete(prefix: Prefix) -> bool:
    """Return whether all stages of the prefix are done."""
    return all(stage.name in prefix.stages_done for stage in stages(prefix))


def run_stage(
    prefix: Prefix, stage: Stage, *, label: str, say: Quiet, update: bool = False
) -> None:
    """Run one stage; its output goes to a log, and ``say`` hears that it is alive."""
    log = prefix.staging.logdir / f"bootstrap-{stage.name}.log"
    say(f"{label}; log: {log}")
    started = time.time()
    with log.open("w", encoding="utf-8") as stream:
        child = process.start(
            command(prefix, stage, update=update), env=_environment(), output=stream
        )
        while (code := process.wait(child, seconds=1.0)) is None:
            say.alive(f"{stage.name}: {_current(log)} {elapsed(time.time() - started)}")
    if code:
        raise _failure(prefix, stage, log, code, started)


def command(prefix: Prefix, stage: Stage, *, update: bool = False) -> list[str]:
    """Return the command line of a stage: this program's emerge."""
    only = () if stage.final else ("--stage",)
    how = ["--update", "--deep", "--newuse", "--changed-deps=y"] if update else ["--noreplace"]
    options = ["--oneshot", *how, "--quiet-build=y", "--color=n"]
    # Should this process be killed, its emerge must not go on behind the next one's back.
    guard = ["setpriv", "--pdeathsig", "TERM"]
    emerge = sdk.launch("flatcar_prefix.emerge", os.fspath(prefix.staging_dir), *only)
    return [*guard, *emerge, *options, *stage.atoms]


def _environment() -> Mapping[str, str]:
    return {k: v for k, v in sdk.environment().items() if k not in LED_ASTRAY}


_EMERGING = re.compile(
    r"^>>> (?:Emerging|Installing)(?: binary)? \((\d+) of (\d+)\) (\S+?)(?:::|$)"
)


def _current(log: Path) -> str:
    """Return what emerge is at, for people to see: ``package 2 of 7, sys-libs/glibc-2.36,``."""
    found = None
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _EMERGING.match(line) or found
    return f"package {found[1]} of {found[2]}, {found[3]}," if found else "resolving,"


def elapsed(seconds: float) -> str:
    """Return a duration as people write it: ``42 s``, ``3 min 07 s``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _failure(prefix: Prefix, stage: Stage, log: Path, code: int, started: float) -> BuildError:
    from flatcar_prefix.emerge.command import newest_log

    package = _current(log)
    build_log = newest_log(prefix.staging.tmpdir, started)
    return BuildError(
        f"stage {stage.name} failed at {package.rstrip(',')}; the log is {build_log or log}",
        hint="Put right what the log says, then run the same command again: it continues here."
        f"{last_words(log)}",
        exit_code=min(code, 1),
    )


def last_words(log: Path) -> str:
    """Return the line of the log in which a tool of this program said what is wrong."""
    lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.strip() for line in lines if line.startswith(("!!! ", "ERROR: "))]
    return f" It says: {said[-1].lstrip('! ')}" if said else ""
