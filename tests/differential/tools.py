# SPDX-License-Identifier: BSD-3-Clause
"""Run every declared tool for real: in both roots, as root and as an ordinary user.

gentoolkit and portage-utils are in no package registry. Their checkouts are optional; without
one, its tools must report that they are not installed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from comparing import Checkouts, prefix_in
from machine import InUse, Run

from flatcar_prefix.wrappers import declaration

USERS = ("root", "user")
UNDECLARED = {"merge-driver-ekeyword": "git calls it, with the files of a merge"}
"""Tools of gentoolkit and portage-utils that have no wrapper."""
NOBODY = 65534
NOT_INSTALLED = 127


@dataclass(frozen=True)
class Use:
    """One call of a tool, and the outcomes that are right."""

    arguments: str
    codes: tuple[int, ...] = (0,)
    why: str = ""
    """The reason for an exit code other than 0."""
    as_user: str | None = None
    """The arguments of the ordinary user, if they differ."""


TOO_OLD = re.compile(r"property 'operator' of 'Atom'|'portdbapi' object has no .* 'porttree_root'")
"""In the last line of gentoolkit 0.6 with a Portage that is newer."""

_NEEDS_ROOT_DIRECTORY = "gentoolkit 0.6 asks Portage for the root /, in any prefix"

USES = {
    "archive-conf": Use("{eprefix}/etc/greeting/conf"),
    "binutils-config": Use("-l"),
    "bwrap": Use("{eprefix}/usr/bin/busybox true"),
    "dispatch-conf": Use(""),
    "ebuild": Use("{ebuild} clean", as_user="--help"),
    "ebump": Use("--version"),
    "eclean": Use("--pretend distfiles"),
    "eclean-dist": Use("--pretend"),
    "eclean-pkg": Use("--pretend"),
    "egencache": Use("--update --repo tool-tests --jobs 1", (0, 1), "the repository is root's"),
    "ekeyword": Use("--dry-run ~amd64 {ebuild}"),
    "emaint": Use("--check all"),
    "emerge": Use("--pretend --verbose app-misc/letter"),
    "emerge-webrsync": Use("--help", (0, 1), "no repository is called gentoo"),
    "emirrordist": Use(
        "--mirror --distfiles {scratch} --repo tool-tests --dry-run --jobs 1",
        (0, 1), "the repository's distfiles are not downloaded",
    ),
    "enalyze": Use("analyze use"),
    "env-update": Use("", as_user="--help"),
    "epkginfo": Use("app-misc/greeting"),
    "equery": Use("list *"),
    "eread": Use("", (0, 1), "no messages of ebuilds are saved"),
    "eselect": Use("env list"),
    "eshowkw": Use("--overlays app-misc/greeting"),
    "etc-update": Use("--automode -5", as_user="--help"),
    "euse": Use("-a", (0, 1), "it reads make.globals where a Portage of Gentoo has it"),
    "fixpackages": Use("", as_user="--help"),
    "gcc-config": Use("-l"),
    "gdb": Use("-batch -ex 'info files' {eprefix}/usr/bin/busybox"),
    "glsa-check": Use("--list", (0, 1), "the repository has no announcements"),
    "gpkg-sign": Use("--help"),
    "imlate": Use("", (0, 1), _NEEDS_ROOT_DIRECTORY),
    "ldconfig": Use("-p", (0, 1), "a prefix without a C library has no cache"),
    "pkg-config": Use("--list-all"),
    "portageq": Use("match / app-misc/*"),
    "q": Use("--version"),
    "qatom": Use("app-misc/greeting-1.0"),
    "qcheck": Use("app-misc/greeting"),
    "qdepends": Use("app-misc/letter"),
    "qfile": Use("{eprefix}/usr/bin/greet"),
    "qgrep": Use("DESCRIPTION", (0, 1), "1 without a match"),
    "qkeyword": Use("--version"),
    "qlist": Use("-I"),
    "qlop": Use("-m", (0, 1), "1 without a match"),
    "qmanifest": Use("--version"),
    "qmerge": Use("--pretend --nodeps app-misc/greeting", (0, 1), "it needs PORTAGE_BINHOST"),
    "qpkg": Use("--pretend app-misc/greeting"),
    "qsearch": Use("greeting", (0, 1), "1 without a match"),
    "qsize": Use("app-misc/greeting"),
    "qtbz2": Use("--version"),
    "qtegrity": Use("--version"),
    "quickpkg": Use("app-misc/greeting", as_user="--help"),
    "quse": Use("loud", (0, 1), "1 without a match"),
    "qwhich": Use("app-misc/greeting"),
    "qxpak": Use("--version"),
    "regenworld": Use("--help"),
    "revdep-rebuild": Use("--help"),
}  # fmt: skip


def words(prefix: InUse, tool: str, user: str) -> list[str]:
    """Return the arguments of a tool's call."""
    use = USES[tool]
    text = use.arguments if user == "root" or use.as_user is None else use.as_user
    overlay = prefix.machine.base.parent / "overlay"
    return [
        word.format(
            eprefix=prefix.eprefix,
            ebuild=overlay / "app-misc/greeting/greeting-1.0.ebuild",
            scratch=prefix.machine.base.parent / "scratch",
        )
        for word in shlex.split(text)
    ]


def verdict(tool: str, user: str, run: Run) -> str:
    """Return the outcome: answers, explained, refused, not installed, too old, or WRONG and why."""
    said = run.stdout + run.stderr
    if TOO_OLD.search(said):
        return "gentoolkit too old"
    if "Traceback (most recent call last)" in said and tool != "imlate":
        return "WRONG: a traceback"
    if run.returncode == NOT_INSTALLED:
        return "not installed" if f"{tool} is not installed here" in said else "WRONG: 127"
    needs_root = declaration.tools()[tool].needs_root
    if user != "root" and needs_root and run.returncode == 1 and "sudo" in said:
        return "refused"
    if run.returncode == 0:
        return "answers"
    if run.returncode in USES[tool].codes:
        return "explained"
    return f"WRONG: exit {run.returncode}"


def outcomes(prefix: InUse, path: str) -> Iterator[tuple[str, str, str, str, Run]]:
    """Yield tool, root, user, verdict and run of each call."""
    runtime = prefix.machine.base.parent / "runtime"
    runtime.mkdir(exist_ok=True)
    runtime.chmod(0o777)
    env = {"PATH": path, "XDG_RUNTIME_DIR": str(runtime)}
    for tool in sorted(declaration.tools()):
        for kind in ("staging", "final"):
            for user in USERS:
                command = [str(prefix.wrapper(tool)), f"--{kind}", *words(prefix, tool, user)]
                run = prefix.machine.run(*_as(user, command), env=env, timeout=300)
                yield tool, kind, user, verdict(tool, user, run), run


def _as(user: str, command: list[str]) -> list[str]:
    if user == "root":
        return command
    number = str(NOBODY)
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--", *command]


def run(base: Path, checkouts: Checkouts) -> int:
    """Run all tools, print a table and the counts; return the number of wrong outcomes."""
    import portage

    prefix = prefix_in(base)
    missing = set(declaration.tools()) ^ set(USES)
    if missing:
        sys.exit(f"not in the table of tools.py, or not declared: {', '.join(sorted(missing))}")
    if undeclared := checkouts.programs() - set(declaration.tools()) - set(UNDECLARED):
        sys.exit(f"no declaration wraps {', '.join(sorted(undeclared))}")
    if busybox := shutil.which("busybox"):
        for kind in ("staging", "final"):
            there = prefix.eroot(kind) / "usr/bin/busybox"
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(busybox, there)
            there.chmod(0o755)
    (base / "scratch").mkdir(exist_ok=True)
    (base / "scratch").chmod(0o777)
    path = checkouts.path(base / "shims")
    counts: Mapping[str, Counter[str]] = {user: Counter() for user in USERS}
    for tool, kind, user, result, done in outcomes(prefix, path):
        counts[user][result.partition(":")[0]] += 1
        why = f" ({USES[tool].why})" if result == "explained" else ""
        print(f"{tool:16} {kind:8} {user:5} {done.returncode:4} {result}{why}", flush=True)
        if result.startswith("WRONG"):
            print(
                f"  {shlex.join(map(os.fspath, done.args))}\n{done.stdout[-1500:]}{done.stderr[-1500:]}",
                flush=True,
            )
    for user, count in counts.items():
        shown = ", ".join(f"{number} {name}" for name, number in sorted(count.items()))
        print(f"Portage {portage.VERSION}, {user}, both roots: {shown}")
    return sum(count["WRONG"] for count in counts.values())
