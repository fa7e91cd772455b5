# SPDX-License-Identifier: BSD-3-Clause
"""Compare shown and executed plans for many generated calls, in one process.

    python tests/emerge/simulated.py --calls 100

Portage loads both roots and calculates each plan as always. In place of its scheduler, which runs
ebuild phases for seconds, a simulation installs the packages of the plan: it writes VDB entries
and binary packages, and removes what is replaced or blocked. ``plans.py`` does the same with real
builds. The packages, the roots and the plans' order of roots must be the same.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from machine import InUse
from plans import Call, Compare, Step, difference, shown_in, try_calls

from flatcar_prefix.emerge import command
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import emerge_process, session
from flatcar_prefix.prefix import record

COUNTER = itertools.count(1)
DEPENDS = ("DEPEND", "RDEPEND", "BDEPEND", "IDEPEND", "PDEPEND")
done: list[Step] = []
"""The packages that the last call has installed, with the directory of the root."""
installed: list[Step] = []
"""Those of all calls."""


class Simulation:
    """The methods that replace those of ``_emerge.Scheduler.Scheduler``."""

    def __init__(
        self, _settings: Any, trees: Any, _mtimedb: Any, opts: Any, *_: Any, **named: Any
    ) -> None:
        self._trees, self._opts = trees, opts
        self._mergelist = named["graph_config"].mergelist
        self._failed_pkgs_all: list[Any] = []

    def merge(self) -> int:
        for task in self._mergelist:
            operation = getattr(task, "operation", None)
            if operation == "uninstall":
                _remove(task.root, str(task.cpv))
            elif operation == "merge":
                self._merge(task)
        return 0

    def _merge(self, package: Any) -> None:
        fields = dict(package._metadata)
        use = frozenset(package.use.enabled)
        if package.type_name == "ebuild":
            fields |= {key: self._evaluated(package, fields[key], use) for key in DEPENDS}
            fields |= {"BUILD_TIME": str(int(time.time()) + next(COUNTER)), "BUILD_ID": ""}
            # Nothing installs binary packages of the build host.
            if "--buildpkg" in self._opts and package.root == self._trees._target_eroot:
                fields["BUILD_ID"] = self._pack(package, fields, use)
        fields["USE"] = " ".join(sorted(use))
        vardb = self._trees[package.root]["vartree"].dbapi
        for old in vardb.match(package.slot_atom):
            _remove(package.root, str(old))
        entry = Path(package.root, "var/db/pkg", str(package.cpv))
        entry.mkdir(parents=True)
        category, _, pf = str(package.cpv).partition("/")
        fields |= {"CATEGORY": category, "PF": pf, "COUNTER": str(next(COUNTER))}
        for name, value in {**fields, "repository": str(package.repo)}.items():
            if value and not name.startswith("_"):
                (entry / name).write_text(f"{value}\n")
        (entry / "CONTENTS").write_text("")
        done.append((str(package.cpv), str(package.root).rstrip("/")))

    def _evaluated(self, package: Any, text: str, use: frozenset[str]) -> str:
        """Return dependencies as a build records them: PMS 8.2.6.3, slot operators."""
        from portage.dep import Atom, paren_enclose, use_reduce

        def recorded(token: Any) -> Any:
            if isinstance(token, list):
                return [recorded(one) for one in token]
            if not isinstance(token, Atom) or token.slot_operator != "=":
                return str(token)
            at = package.root
            there = self._trees[at]["vartree"].dbapi.match(token)
            if not there:
                return str(token)
            slot, sub = there[-1].slot, there[-1].sub_slot
            return str(token.with_slot(f"{slot}/{sub}="))

        tokens = use_reduce(text, uselist=use, eapi="8", token_class=Atom)
        return paren_enclose(recorded(tokens))

    def _pack(self, package: Any, fields: dict[str, str], use: frozenset[str]) -> str:
        """Write a binary package without files into PKGDIR; return its build number."""
        from portage import xpak

        bintree = self._trees[package.root]["bintree"]
        path, number = bintree.getname_build_id(package.cpv, allocate_new=True)
        category, _, pf = str(package.cpv).partition("/")
        known = {**fields, "BUILD_ID": str(number), "USE": " ".join(sorted(use)), "CATEGORY": category,
                 "PF": pf, "repository": str(package.repo)}  # fmt: skip
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(bytes(1024))  # an empty tar
        data = {name.encode(): f"{value}\n".encode() for name, value in known.items() if value}
        xpak.tbz2(path).recompose_mem(xpak.xpak_mem(data))
        assert bintree.inject(package.cpv, current_pkg_path=path, allocated_pkg_path=path)
        return str(number)


def _remove(eroot: str, cpv: str) -> None:
    shutil.rmtree(Path(eroot, "var/db/pkg", cpv), ignore_errors=True)


def emerge(prefix: InUse, *arguments: str) -> tuple[int, str]:
    """Run emerge in this process; return its exit code and its output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = command.emerge(record.read(prefix.staging_dir), list(arguments))
        except PrefixError as error:
            code = error.exit_code
            print(error, error.hint)
        except SystemExit as left:
            code = int(left.code or 0)
    return code, out.getvalue()


def compare(prefix: InUse, call: Call) -> str:
    """Run a call; return the difference between plan and deed, or an empty string."""
    os.environ["USE"] = call.use
    done.clear()
    code, plan = emerge(prefix, "--pretend", "--verbose", *call.arguments)
    assert not done, "a plan changes nothing"
    code_done, said = emerge(prefix, *call.arguments)
    installed.extend(done)
    return difference(
        prefix, call, (code, code_done), shown_in(prefix, plan), sorted(done),
        f"{plan[-4000:]}\n---\n{said[-4000:]}",
    )  # fmt: skip


@contextlib.contextmanager
def simulating(prefix: InUse) -> Iterator[Compare]:
    """Within, emerge of this process simulates, with the variables of the prefix's machine."""
    os.environ.update({**prefix.machine.places, "BINPKG_FORMAT": "xpak", "FEATURES": "-news"})
    here = record.read(prefix.staging_dir)
    session.point_at(here.staging.environment())
    emerge_process.keep_descriptors = lambda: None
    session.initialise(
        here.staging.environment(), owner=True, users=(here.username, here.groupname)
    )
    from _emerge import actions

    original = actions.Scheduler
    actions.Scheduler = type("Scheduler", (Simulation, original), {})
    try:
        yield partial(compare, prefix)
    finally:
        actions.Scheduler = original


if __name__ == "__main__":
    code = try_calls(__doc__.splitlines()[0], simulating)
    print(f"{len(installed)} packages installed")
    sys.exit(code or not installed)
