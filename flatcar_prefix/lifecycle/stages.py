# SPDX-License-Identifier: BSD-3-Clause
"""The stages that fill staging, and the first packages of final.

They are in order, each with the reason for its position. A stage is recorded after it is
done, so an interrupted bootstrap continues where it stopped.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.binhost import keyring
from flatcar_prefix.config.root import IMPORTED_LIBC, LIBC, RUNTIME
from flatcar_prefix.emerge.death import cause
from flatcar_prefix.emerge.following import build_options, follow
from flatcar_prefix.errors import BuildError, UsageError
from flatcar_prefix.prefix import locks, record
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.progress import NO_PROGRESS, Progress
from flatcar_prefix.system.python import launch
from flatcar_prefix.system.variables import ASTRAY

NO_PACKAGES = "none"

LED_ASTRAY = (*ASTRAY, "EMERGE_DEFAULT_OPTS", "USE")
"""Variables of the caller that a bootstrap ignores."""

GCC = "sys-devel/gcc"


@dataclass(frozen=True)
class Step:
    """One call of emerge."""

    atoms: tuple[str, ...]
    options: tuple[str, ...] = ()
    """The options of the first run; an update does not use them."""


@dataclass(frozen=True)
class Stage:
    """One part of the bootstrap; it is done after all of its steps."""

    name: str
    why: str
    steps: tuple[Step, ...]
    final: bool = False
    """Whether the stage also installs into final."""

    @property
    def atoms(self) -> tuple[str, ...]:
        """All that the stage installs."""
        return tuple(dict.fromkeys(atom for step in self.steps for atom in step.atoms))


STAGES = (
    Stage("baselayout", "directories for later packages", (Step(("sys-apps/baselayout",)),)),
    Stage("os-headers", "the C library is built against them", (Step(("virtual/os-headers",)),)),
    Stage(
        "libc",
        "everything is built against it",
        # Gentoo's glibc needs libraries at run time (libidn2) that are linked with a C library.
        # It comes before them, with only its build dependencies. Until then, the prefix's
        # compiler uses the toolchain's own sysroot (see toolchain/tools.py).
        (
            Step((LIBC,), ("--onlydeps", "--onlydeps-with-rdeps=n")),
            Step((LIBC,), ("--nodeps",)),
        ),
    ),
    Stage(
        "runtime",
        "nearly everything is linked with it",
        # Then the run-time dependencies of the C library, linked with both.
        (
            Step(("prefix/gcc-runtime",)),
            Step(("virtual/libc",), ("--deep", "--with-bdeps=n")),
        ),
    ),
    Stage("system", "packages that the profile assumes", (Step(("@system",)),)),
    Stage(
        "final",
        "what programs need to run",
        (Step(RUNTIME),),
        final=True,
    ),
)


def stages(prefix: Prefix) -> tuple[Stage, ...]:
    """Return the stages of this prefix, in order.

    A prefix with an imported C library is for trials; it builds packages of @system only
    when they are needed. So does one with this program's own C library, because a machine that
    cannot fetch the checkout's cannot fetch all of @system. ``with_gcc`` puts a compiler into
    staging.
    """
    if prefix.bootstrap == NO_PACKAGES:
        return ()
    has_system = prefix.bootstrap == "source" and not prefix.own_libc
    own = [s for s in STAGES if s.name != "system" or has_system]
    if prefix.bootstrap == "import":
        own = [_with_libc(stage, IMPORTED_LIBC) for stage in own]
        own = [replace(s, steps=(*s.steps, Step((IMPORTED_LIBC,)))) if s.final else s for s in own]
    if prefix.with_gcc:
        # After gcc's runtime, because gcc's dependencies are linked with it.
        own = [
            replace(s, steps=(*s.steps, Step((GCC,)))) if s.name == "runtime" else s for s in own
        ]
    return tuple(own)


def _with_libc(stage: Stage, libc: str) -> Stage:
    """Return the stage with ``libc`` in place of the C library."""
    steps = (
        replace(step, atoms=tuple(libc if atom == LIBC else atom for atom in step.atoms))
        for step in stage.steps
    )
    return replace(stage, steps=tuple(steps))


def check_names(first: str | None, until: str | None) -> None:
    """Raise :class:`UsageError` for an unknown stage and for the wrong order."""
    names = [stage.name for stage in STAGES]
    for name in (first, until):
        if name is not None and name not in names:
            raise UsageError(f"unknown stage {name!r}", hint=f"Choose one of: {', '.join(names)}.")
    if first and until and names.index(first) > names.index(until):
        raise UsageError(
            f"stage {first} comes after stage {until}, so no stage would run",
            hint=f"Use this order: {', '.join(names)}.",
        )


def check_first(prefix: Prefix, first: str | None) -> None:
    """Raise :class:`UsageError` if stages before ``first`` are not done.

    emerge would install their packages as dependencies, in another order and with the
    wrong compiler.
    """
    names = [stage.name for stage in stages(prefix)]
    if first is None or not names:
        return
    if first not in names:
        raise UsageError(
            f"{prefix.id} has no stage {first} because of --bootstrap={prefix.bootstrap}",
            hint=f"Choose one of: {', '.join(names)}.",
        )
    if undone := [n for n in names[: names.index(first)] if n not in prefix.stages_done]:
        raise UsageError(
            f"stage {first} cannot be the first: earlier stages are not done: {', '.join(undone)}",
            hint=f"Start with --from {undone[0]}, or omit --from to continue.",
        )


def pending(
    prefix: Prefix, *, first: str | None = None, until: str | None = None
) -> Iterator[Stage]:
    """Yield the stages that are not done, up to ``until``; from ``first`` on, done or not."""
    check_names(first, until)
    last = [stage.name for stage in STAGES].index(until) if until else len(STAGES)
    wanted = {stage.name for stage in STAGES[: last + 1]}
    begun = False
    for stage in stages(prefix):
        begun = begun or stage.name == first
        if stage.name in wanted and (
            begun or (first is None and stage.name not in prefix.stages_done)
        ):
            yield stage


def bootstrap(
    prefix: Prefix,
    *,
    say: Progress,
    first: str | None = None,
    until: str | None = None,
    update: bool = False,
) -> Prefix:
    """Run the remaining stages; return the prefix with its updated record.

    From ``first`` on, finished stages run again; they rebuild their packages or, with
    ``update``, update them. Raise :class:`BuildError`, which names the stage, the package
    and the log, if a stage fails.
    """
    check_first(prefix, first)
    left = list(pending(prefix, first=first, until=until))
    try:
        for number, stage in enumerate(left, start=1):
            label = f"stage {number} of {len(left)}, {stage.name} ({stage.why})"
            run_stage(prefix, stage, label=label, say=say, update=update)
            if stage.name not in prefix.stages_done:
                done = (*prefix.stages_done, stage.name)
                prefix = record.write(replace(prefix, stages_done=done))
    finally:
        # emerge leaves this to the process whose lock it shares.
        keyring.stop_agent_of(prefix)
    return prefix


def is_complete(prefix: Prefix) -> bool:
    """Return whether all stages of the prefix are done."""
    return all(stage.name in prefix.stages_done for stage in stages(prefix))


def run_stage(
    prefix: Prefix, stage: Stage, *, label: str, say: Progress, update: bool = False
) -> None:
    """Run one stage; write its output to a log and report to ``say`` while it runs."""
    log = log_of(prefix, stage)
    say(f"{label}; log: {log}")
    started = time.time()
    with log.open("w", encoding="utf-8") as stream:
        for argv in commands(prefix, stage, update=update, say=say):
            variables, lock = locks.passed_on(prefix)
            code = follow(
                prefix,
                argv,
                log=log,
                stream=stream,
                label=stage.name,
                say=say,
                env={**_environment(), **variables},
                pass_fds=lock,
                check=partial(_refuse_stall, prefix, stage),
            )
            if code:
                raise _failure(prefix, stage, log, code, started)


def log_of(prefix: Prefix, stage: Stage) -> Path:
    """Return the path of the output of a stage."""
    return prefix.staging.logdir / f"bootstrap-{stage.name}.log"


_PATIENCE_WHEN_FULL = 60.0


def _refuse_stall(
    prefix: Prefix, stage: Stage, child: subprocess.Popen[bytes], idle: float
) -> None:
    """End a stage that hangs because PORTAGE_TMPDIR is full; Portage 3.0.83 never ends then."""
    if idle < _PATIENCE_WHEN_FULL:
        return
    room = os.statvfs(prefix.staging.tmpdir)
    if room.f_bfree * room.f_frsize > 1 << 20:
        return
    child.terminate()
    child.wait()
    raise BuildError(
        f"stage {stage.name} stopped: the file system of {prefix.staging.tmpdir} is full",
        hint="Free space there, then run the same command again to continue this stage.",
    )


def commands(
    prefix: Prefix, stage: Stage, *, update: bool = False, say: Progress = NO_PROGRESS
) -> list[list[str]]:
    """Return the command lines of a stage, each of this program's emerge.

    They print the output of compilers if ``say`` is verbose. A started stage continues; a
    finished one runs again.
    """
    if stage.name not in prefix.stages_done:
        steps = [(("--noreplace", *step.options), step.atoms) for step in stage.steps]
    elif update:
        steps = [(("--update", "--deep", "--newuse", "--changed-deps=y"), stage.atoms)]
    else:
        steps = [(step.options, step.atoms) for step in stage.steps]
    only = () if stage.final else ("--stage",)
    emerge = launch("emerge", os.fspath(prefix.staging_dir), *only)
    common = ("--oneshot", *build_options(say), "--color=n")
    return [[*emerge, *common, *options, *atoms] for options, atoms in steps]


def _environment() -> Mapping[str, str]:
    return environ.variables(without=LED_ASTRAY)


def _failure(prefix: Prefix, stage: Stage, log: Path, code: int, started: float) -> BuildError:
    why = cause(log, prefix.staging.tmpdir, started)
    return BuildError(
        f"stage {stage.name} failed: {why}",
        hint="Fix the error in the log, then run the same command again to continue this stage.",
        exit_code=min(code, 1),
        stage=stage.name,
        **why.details(),
    )
