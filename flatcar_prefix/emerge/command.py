# SPDX-License-Identifier: BSD-3-Clause
"""The emerge command of a prefix."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flatcar_prefix import environ
from flatcar_prefix.binhost import keyring
from flatcar_prefix.emerge import (
    arguments,
    binhosts,
    left_out,
    one_root,
    resume,
    same_builds,
    same_versions,
    which_roots,
)
from flatcar_prefix.emerge.failures import KILLED, explain, explain_ebuilds
from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.emerge.which_roots import Call
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import (
    depgraph,
    emerge_calls,
    emerge_process,
    event_loop,
    launcher_hooks,
    session as portage_api,
)
from flatcar_prefix.portage_api.depgraph import Plan
from flatcar_prefix.prefix import leftovers, markers, record
from flatcar_prefix.prefix.locks import using
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.sandbox.confinement import SWITCH, confined
from flatcar_prefix.system import entry, messages


def main(argv: Sequence[str]) -> int:
    """Run emerge for the prefix whose staging directory is ``argv[0]``; return the exit code."""
    entry.in_utf8()
    emerge_process.prepare()
    return entry.run(
        lambda: _run(argv),
        program="emerge",
        logs=Path(argv[0], "logs"),
        on_interrupt=emerge_process.say_signal,
        portage_codes=True,
    )


def _run(argv: Sequence[str]) -> int:
    def report(error: Exception) -> None:
        messages.report(entry.described(error, "emerge", Path(argv[0], "logs")))

    try:
        with _in_use(_read_prefix(argv[0])) as prefix:
            prefix.refuse_orphaned()
            portage_api.point_at(prefix.staging.environment())
            with confined(prefix), launcher_hooks.kept(), event_loop.failing(report):
                return emerge(prefix, argv[1:])
    finally:
        # Before any error is reported: Portage prints the messages of packages here.
        portage_api.run_exit_functions()


def _read_prefix(staging_dir: str) -> Prefix:
    """Return the prefix in a staging directory; raise :class:`PrefixError` without a record."""
    try:
        return record.read(Path(staging_dir))
    except FileNotFoundError as error:
        raise PrefixError(
            f"{staging_dir} does not contain a prefix",
            hint="Set the prefix up again, or remove this wrapper.",
        ) from error


@contextmanager
def _in_use(prefix: Prefix) -> Iterator[Prefix]:
    """Share the prefix's lock with other calls of emerge; remove files of killed calls.

    A caller without write permission changes nothing and takes no lock.
    """
    if not os.access(prefix.staging_dir, os.W_OK):
        yield prefix
        return
    sweep, leave = partial(_put_in_order, prefix), partial(keyring.stop_agent_of, prefix)
    with using(prefix, sweep=sweep, leave=leave) as now:
        if now.staging.tmpdir.is_dir():
            # Portage's temporary files, so that the next call finds those of a killed one.
            tempfile.tempdir = os.fspath(now.staging.tmpdir)
        yield now


def _put_in_order(prefix: Prefix) -> None:
    """Sweep, and mark a prefix of version 0.1.0; the caller is the only user of the prefix."""
    with suppress(OSError, PrefixError):  # emerge itself reports a full disk.
        now = record.read(prefix.staging_dir)
        leftovers.sweep(now)
        if not (now.identity or now.removing):
            record.write(markers.adopt(now))


def emerge(prefix: Prefix, argv: Sequence[str]) -> int:
    """Run ``emerge argv`` for both roots of ``prefix``, as on a Gentoo machine.

    Return emerge's exit code. If staging fails, the code is staging's and final does not
    change. Portage prints the output.
    """
    portage_api.initialise(
        prefix.staging.environment(),
        owner=os.access(prefix.staging.eroot, os.W_OK),
        users=(prefix.username, prefix.groupname),
    )
    emerge_process.keep_descriptors()
    call = which_roots.split_word(argv, defaults=environ.take("EMERGE_DEFAULT_OPTS"))
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
            # If neither root has a call to resume, staging reports it.
            return _one(final if resume.stopped((final,)) else first)
    if "--ask" in first.opts and "--pretend" not in first.opts:
        return _ask(prefix, call, first)
    return _both(prefix, call, first)


def _one(one: OneRoot) -> int:
    if one.action is None and one.root.kind == "staging" and "--pretend" not in one.opts:
        _tell_unconfined(one)
    if binhosts.are_used(one):
        code = _run_with_binhosts(one)
    else:
        merges_in_staging = one.action is None and one.root.kind == "staging"
        judge = partial(left_out.check, one) if merges_in_staging else None
        code = one_root.run(one, judge=judge)
    if code and one.action is None and "--pretend" not in one.opts:
        explain(one, code)
    if code and one.action is None and one.root.kind == "staging" and code < KILLED:
        explain_ebuilds(one)
    return code


def _run_with_binhosts(one: OneRoot) -> int:
    def judge(plan: Plan) -> None:
        left_out.check(one, plan)
        binhosts.tell_unfit(one, chooser, plan)

    with binhosts.used(one) as chooser:
        return one_root.run(one, judge=judge)


def _both(prefix: Prefix, call: Call, staging: OneRoot) -> int:
    """Build in staging, then install into final; with ``--pretend``, show both plans."""
    resumed = resume.of(staging) if which_roots.resumes(staging.opts) else None
    if dropped := which_roots.building_all(staging.opts):
        messages.warning(
            f"{' '.join(dropped)} is ignored: final installs binary packages;"
            " with --stage as the first argument it applies"
        )
    words = arguments.for_final(staging.config.args, staging.root, staging.vardb)
    _heading(staging)
    code = _one(staging)
    if code:
        return code
    args = which_roots.build_only_dropped(call.args, staging.opts)
    final = one_root.load(prefix.final, args, defaults=call.defaults)
    if resumed is None:
        final.config.args = words
    elif not resumed.hand_on(staging, final):
        return code
    _heading(final)
    return _install(staging, final)


def _install(staging: OneRoot, final: OneRoot) -> int:
    pretend = "--pretend" in final.opts
    host = staging.plan.host if staging.plan is not None and pretend else ()
    code = one_root.run(
        final,
        also=_not_there_yet(staging, final),
        judge=partial(same_versions.check, staging, final),
        accepts=same_builds.accepts(staging, pretend=pretend),
        on_host=[(p.cpv, p.installed) for p in host if p.installed is not None],
    )
    if code and "--pretend" not in final.opts:
        explain(final, code)
    return code


def _not_there_yet(staging: OneRoot, final: OneRoot) -> dict[str, Any]:
    """Return the packages that count as binary packages in final's plan, by EROOT.

    These binary packages do not exist. With ``--pretend``, they are all packages that staging
    would build for itself. Otherwise, they are those that ``--onlydeps`` skips.
    """
    if staging.plan is None:
        return {}
    packages = staging.plan.packages
    if "--pretend" not in final.opts:
        packages = tuple(p for p in packages if p.only_dependencies)
    return {final.settings["EROOT"]: depgraph.as_binaries(packages, final.bintree)}


def _tell_unconfined(one: OneRoot) -> None:
    """Warn once about settings of the user that weaken the confinement of builds."""
    if one.settings.get(SWITCH) == "no":
        messages.warning(f"builds are not confined: {SWITCH} is no")
    if "network-sandbox" not in one.settings.features:
        messages.warning("builds use the network: FEATURES has no network-sandbox")


def _heading(one: OneRoot) -> None:
    if "--quiet" not in one.opts:
        what = "building in" if one.root.kind == "staging" else "installing into"
        messages.info(f"{one.root.prefix.id}: {what} {one.root.kind}")


def _ask(prefix: Prefix, call: Call, staging: OneRoot) -> int:
    """Show both plans, ask once, then build and install."""
    if not sys.stdin.isatty():
        return _one(staging)  # emerge rejects --ask without a terminal
    code = _both_again(prefix, call, "--ask=n", "--pretend")
    if code:
        return code
    if not emerge_calls.ask("Would you like to build and install these packages?", staging.opts):
        print("\nQuitting.\n")
        return 128 + 2
    return _both_again(prefix, call, "--ask=n")


def _both_again(prefix: Prefix, call: Call, *more: str) -> int:
    """Load both roots again and run the call with more options."""
    call = replace(call, args=(*call.args, *more))
    return _both(prefix, call, one_root.load(prefix.staging, call.args, defaults=call.defaults))
