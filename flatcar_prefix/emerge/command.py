# SPDX-License-Identifier: BSD-3-Clause
"""The emerge command of a prefix."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flatcar_prefix.emerge import one_root, resume, same_versions, which_roots
from flatcar_prefix.emerge.failures import explain
from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.emerge.which_roots import Call
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import depgraph, emerge_calls, session as portage_api
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import messages
from flatcar_prefix.system.places import take


def main(argv: Sequence[str]) -> int:
    """Run emerge for the prefix whose staging directory is ``argv[0]``; return the exit code."""
    messages.flush_each_line()
    try:
        return emerge(_read_prefix(argv[0]), argv[1:])
    except PrefixError as error:
        return messages.report(error)
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        portage_api.run_exit_functions()


def _read_prefix(staging_dir: str) -> Prefix:
    """Return the prefix in a staging directory; :class:`PrefixError` when it has no record."""
    try:
        return record.read(Path(staging_dir))
    except FileNotFoundError as error:
        raise PrefixError(
            f"there is no prefix in {staging_dir} any more",
            hint="Remove this wrapper, or set the prefix up again.",
        ) from error


def emerge(prefix: Prefix, argv: Sequence[str]) -> int:
    """Do for ``prefix`` what ``emerge argv`` does on a Gentoo machine.

    Returns emerge's exit code: staging's when that failed, since final is not touched
    then. Output is Portage's own.
    """
    portage_api.initialise(
        prefix.staging.environment(), owner=os.access(prefix.staging.eroot, os.W_OK)
    )
    call = which_roots.split_word(argv, defaults=take("EMERGE_DEFAULT_OPTS"))
    if one_root.action_of(call.args) in which_roots.EARLY_ACTIONS:
        return one_root.run_early(call.args)
    first = one_root.load(prefix.root(call.only or "staging"), call.args, defaults=call.defaults)
    kinds = which_roots.roots(call, first.action, first.opts, first.config.args)
    if kinds[0] != first.root.kind:
        first = one_root.load(prefix.root(kinds[0]), call.args, defaults=call.defaults)
    if len(kinds) == 1:
        return _one(first)
    if which_roots.resumes(first.opts) and not first.config.args:
        final = one_root.load(prefix.final, call.args, defaults=call.defaults)
        if resume.stopped((first, final)) is not first:
            # With nothing to resume in either, it is staging that says so.
            return _one(final if resume.stopped((final,)) else first)
    if "--ask" in first.opts and "--pretend" not in first.opts:
        return _ask(prefix, call, first)
    return _both(prefix, call, first)


def _one(one: OneRoot) -> int:
    code = one_root.run(one)
    if code and one.action is None and "--pretend" not in one.opts:
        explain(one, code)
    return code


def _both(prefix: Prefix, call: Call, staging: OneRoot) -> int:
    """Build, then install; or show both plans."""
    resumed = resume.of(staging) if which_roots.resumes(staging.opts) else None
    _heading(staging)
    code = _one(staging)
    if code:
        return code
    args = which_roots.build_only_dropped(call.args, staging.opts)
    final = one_root.load(prefix.final, args, defaults=call.defaults)
    if resumed is not None and not resumed.hand_on(staging, final):
        return code
    _heading(final)
    return _install(staging, final)


def _install(staging: OneRoot, final: OneRoot) -> int:
    also = _not_there_yet(staging, final)
    code = one_root.run(final, also=also, judge=partial(same_versions.check, staging, final))
    if code and "--pretend" not in final.opts:
        explain(final, code)
    return code


def _not_there_yet(staging: OneRoot, final: OneRoot) -> dict[str, Any]:
    """Return what final's plan takes for binary packages though there are none, by EROOT.

    When both plans are only shown, that is all that staging would build, for the build
    host, too: a package may want a program of it when it is installed (IDEPEND).
    """
    if staging.plan is None:
        return {}
    packages, host = staging.plan.packages, staging.plan.host
    if "--pretend" not in final.opts:
        packages, host = tuple(p for p in packages if p.only_dependencies), ()
    trees = ((packages, final.bintree), (host, final.host_bintree))
    return {tree.settings["EROOT"]: depgraph.as_binaries(some, tree) for some, tree in trees}


def _heading(one: OneRoot) -> None:
    if "--quiet" not in one.opts:
        what = "building in" if one.root.kind == "staging" else "installing into"
        messages.info(f"{one.root.prefix.id}: {what} {one.root.kind}")


def _ask(prefix: Prefix, call: Call, staging: OneRoot) -> int:
    """Show both plans, ask once, then do both."""
    if not sys.stdin.isatty():
        return _one(staging)  # emerge refuses
    code = _both_again(prefix, call, "--ask=n", "--pretend")
    if code:
        return code
    if not emerge_calls.ask("Would you like to build and install these packages?", staging.opts):
        print("\nQuitting.\n")
        return 128 + 2
    return _both_again(prefix, call, "--ask=n")


def _both_again(prefix: Prefix, call: Call, *more: str) -> int:
    """Run the call with more options, in roots that are loaded again."""
    call = replace(call, args=(*call.args, *more))
    return _both(prefix, call, one_root.load(prefix.staging, call.args, defaults=call.defaults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
