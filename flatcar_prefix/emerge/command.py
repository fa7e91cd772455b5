# SPDX-License-Identifier: BSD-3-Clause
"""The emerge command of a prefix."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flatcar_prefix import messages, portage_api, prefix as prefixes, sdk
from flatcar_prefix.emerge import half as halves, plan
from flatcar_prefix.emerge.half import Half
from flatcar_prefix.emerge.plan import Call
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import Prefix


def main(argv: Sequence[str]) -> int:
    """Run emerge for the prefix whose staging directory is ``argv[0]``; return the exit code."""
    messages.flush_each_line()
    try:
        prefix = prefixes.read(Path(argv[0]))
        return emerge(prefix, argv[1:])
    except FileNotFoundError:
        error = PrefixError(
            f"there is no prefix in {argv[0]} any more",
            hint="Remove this wrapper, or set the prefix up again.",
        )
        return messages.report(error)
    except PrefixError as error:
        return messages.report(error)
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        portage_api.run_exit_functions()


def emerge(prefix: Prefix, argv: Sequence[str]) -> int:
    """Do for ``prefix`` what ``emerge argv`` does on a Gentoo machine.

    Returns emerge's exit code: staging's when that failed, since final is not touched
    then. Output is Portage's own.
    """
    portage_api.initialise(prefix.staging)
    call = plan.split_word(argv, defaults=sdk.take("EMERGE_DEFAULT_OPTS"))
    if halves.action_of(call.args) in plan.EARLY_ACTIONS:
        return halves.run_early(call.args)
    first = halves.load(prefix.root(call.only or "staging"), call.args, defaults=call.defaults)
    kinds = plan.roots(call, first.action, first.opts, first.config.args)
    if kinds[0] != first.root.kind:
        first = halves.load(prefix.root(kinds[0]), call.args, defaults=call.defaults)
    if len(kinds) == 1:
        return _one(first, call)
    if "--ask" in first.opts and "--pretend" not in first.opts:
        return _ask(prefix, call, first)
    return _both(prefix, call, first)


def _one(half: Half, call: Call) -> int:
    started = time.time()
    code = halves.run(half)
    if code and half.action is None and half.config.args and "--pretend" not in half.opts:
        _explain(half, call, started)
    return code


def _both(prefix: Prefix, call: Call, staging: Half) -> int:
    """Build, then install; or show both plans."""
    started = time.time()
    pretend = "--pretend" in staging.opts
    args = call.args
    if "--resume" in staging.opts:
        asked = halves.resumed_arguments(staging)
        args = (*_without_resume(args), *asked)
    _heading(staging)
    code = halves.run(staging)
    if code:
        if not pretend:
            _explain(staging, call, started)
        return code
    final = halves.load(
        prefix.final, plan.build_only_dropped(args, staging.opts), defaults=call.defaults
    )
    _heading(final)
    planned = halves.planned_packages(staging) if pretend else None
    code = halves.run(final, also=planned)
    if code and not pretend:
        _explain(final, call, started)
    return code


def _without_resume(args: Sequence[str]) -> list[str]:
    resume = ("--resume", "-r", "--skipfirst", "--skip-first")
    return [arg for arg in args if arg not in resume]


def _heading(half: Half) -> None:
    if "--quiet" not in half.opts:
        what = "building in" if half.root.kind == "staging" else "installing into"
        messages.info(f"{half.root.prefix.id}: {what} {half.root.kind}")


def _ask(prefix: Prefix, call: Call, staging: Half) -> int:
    """Show both plans, ask once, then do both."""
    from _emerge.UserQuery import UserQuery

    if not sys.stdin.isatty():
        return _one(staging, call)  # emerge refuses
    code = _both_again(prefix, call, "--ask=n", "--pretend")
    if code:
        return code
    query = UserQuery(staging.opts)
    enter_invalid = "--ask-enter-invalid" in staging.opts
    if query.query("Would you like to build and install these packages?", enter_invalid) == "No":
        print("\nQuitting.\n")
        return 128 + 2
    return _both_again(prefix, call, "--ask=n")


def _both_again(prefix: Prefix, call: Call, *more: str) -> int:
    """Do the call with more options, in roots that are loaded anew."""
    call = replace(call, args=(*call.args, *more))
    return _both(prefix, call, halves.load(prefix.staging, call.args, defaults=call.defaults))


def _explain(half: Half, call: Call, started: float) -> None:
    """Say, as the last lines, where to look or what to do."""
    if half.root.kind == "final":
        _explain_missing(half, call)
        return
    log = newest_log(half.root.tmpdir, started)
    if log is not None:
        messages.error(f"building failed; the log is {log}")
    else:
        messages.error(f"building failed; logs are in {half.root.logdir}")


def _explain_missing(half: Half, call: Call) -> None:
    bindb = half.config.target_config.trees["bintree"].dbapi
    asked = [str(atom) for atom in half.config.args]
    without = [atom for atom in asked if _is_missing(bindb, atom)] or [*halves.unsatisfied(half)]
    if not without:
        return
    wrapper = half.root.prefix.wrapper("emerge").path.name
    messages.error(f"there is no binary package of {' '.join(without)}")
    messages.hint(f"Build what is missing: {wrapper} --stage {shlex.join(without)}")


def _is_missing(bindb: Any, atom: str) -> bool:
    from portage.exception import PortageException

    try:
        return not atom.startswith("@") and not bindb.match(atom)
    except (PortageException, ValueError):
        return False


def newest_log(tmpdir: Path, since: float) -> Path | None:
    """Return the build log of the package that failed last, None when none has.

    Portage leaves the build directory of a package that failed, with its log or a link
    to where PORT_LOGDIR has it, and removes those of others.
    """
    logs = [log for log in tmpdir.glob("portage/*/*/temp/build.log") if _mtime(log) >= since - 1]
    return Path(os.path.realpath(max(logs, key=_mtime))) if logs else None


def _mtime(path: os.PathLike[str]) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
