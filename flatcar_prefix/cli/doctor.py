# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix doctor``: check this machine for prefix builds."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from flatcar_prefix.boards import BOARDS, DEFAULT_BOARD, Board
from flatcar_prefix.cli.parser import json_argument
from flatcar_prefix.config import build_host, too_old
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle import lost
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.record import BOOTSTRAPS
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.repositories.profiles import choose_profile
from flatcar_prefix.sandbox import confinement
from flatcar_prefix.system import process, programs, sudo
from flatcar_prefix.system.json_output import to_json
from flatcar_prefix.system.places import Sdk, detect_sdk
from flatcar_prefix.system.python import hidden_from_others, interpreter
from flatcar_prefix.toolchain import find as toolchains
from flatcar_prefix.wrappers import marks

HELP = "check this machine for prefix builds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    json_argument(parser)
    parser.add_argument("--scripts-dir", type=Path)


def run(args: argparse.Namespace) -> int:
    """Print the checks; return 1 if a needed one fails."""
    checks = examine(scripts_dir=args.scripts_dir)
    print(as_json(checks) if args.json else as_text(checks), end="")
    return 0 if all(check.ok or not check.needed for check in checks) else 1


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    ok: bool
    found: str
    hint: str = ""
    """The user's next step if the check fails."""
    needed: bool = True
    """Whether a failed check prevents all builds."""


def examine(*, scripts_dir: Path | None = None) -> list[Check]:
    """Return the results of all checks; change nothing."""
    sdk = detect_sdk(scripts_dir=scripts_dir)
    checks = [Check("machine", True, _machine(sdk)), _guarded("Portage", _portage)]
    checks += [_guarded("repositories", lambda: _repositories(sdk))]
    checks += [_guarded(f"profile of {b.name}", partial(_profile, sdk, b)) for b in BOARDS.values()]
    for board in BOARDS.values():
        checks += _toolchains(board)
    checks += _users(sdk)
    through_sudo = sudo.needed(sdk, euid=os.geteuid()) and shutil.which("sudo") is not None
    checks += [_place(*place, sudo=through_sudo) for place in _places(sdk)]
    checks += list(_programs())
    checks += list(_too_old(sdk))
    checks += list(_orphans(sdk))
    checks.append(_namespaces())
    checks.append(_confinement())
    checks.append(_reach())
    return checks


def _machine(sdk: Sdk) -> str:
    kind = "the SDK container" if sdk.kind == "container" else "a plain Linux machine"
    return f"{kind}, {platform.machine()}; scripts: {sdk.scripts_dir}; user: {sdk.username}"


def _guarded(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except PrefixError as error:
        return Check(name, False, str(error), error.hint)


def _portage() -> str:
    version = str(portage_api.import_portage().VERSION)
    newer = " (newer than this program knows)" if portage_api.newer_than_known(version) else ""
    return f"{version}{newer}, {interpreter()}"


def _repositories(sdk: Sdk) -> str:
    found, main = repos.find(sdk.scripts_dir)
    return ", ".join(f"{r.name}{' (main)' if r.name == main else ''} {r.location}" for r in found)


def _profile(sdk: Sdk, board: Board) -> str:
    found, main = repos.find(sdk.scripts_dir)
    return choose_profile(found, main, board, None)


def _toolchains(board: Board) -> list[Check]:
    """Return one check per kind, best first; the default board needs at least one toolchain."""
    checks = [
        _guarded(f"toolchain of {board.name}, {kind}", partial(_toolchain, board, kind))
        for kind in toolchains.KINDS
    ]
    needed = board.name == DEFAULT_BOARD and not any(check.ok for check in checks)
    return [replace(check, needed=needed) for check in checks]


def _toolchain(board: Board, kind: str) -> str:
    toolchain = toolchains.find(board, kind)
    sysroot = f", sysroot {toolchain.sysroot}" if toolchain.sysroot else ""
    return f"{toolchain.cc}, glibc {toolchain.libc_version}{sysroot}"


def _users(sdk: Sdk) -> Iterator[Check]:
    """Yield the checks of the build user and of sudo."""
    who, container = f"{sdk.username}:{sdk.groupname}", sdk.kind == "container"
    fits = not container or (sdk.username, sdk.groupname) == ("sdk", "portage")
    hint = (
        "" if fits else "Run ./run_sdk_container, which creates the user sdk and the group portage."
    )
    yield Check("user of builds", fits, f"builds run as {who}", hint, needed=False)
    if container:
        program, root = shutil.which("sudo"), os.geteuid() == 0
        hint = "" if program else "Install app-admin/sudo, or change prefixes as root."
        yield Check("sudo", program is not None, program or "not installed", hint, needed=not root)


def _places(sdk: Sdk) -> Iterator[tuple[str, Path, str]]:
    """Yield what each directory is for, the directory, and the variable that chooses it."""
    yield "staging", sdk.build_base, "FLATCAR_PREFIX_BUILD_DIR"
    yield "final", sdk.prefix_base, "FLATCAR_PREFIX_FINAL_DIR"
    # The SDK container determines the place of distfiles.
    chosen_by = "" if sdk.kind == "container" else "FLATCAR_PREFIX_CACHE_DIR"
    yield "distfiles", sdk.distdir, chosen_by
    yield "depcache", sdk.depcachedir, "FLATCAR_PREFIX_CACHE_DIR"
    yield "wrappers", sdk.wrapper_dir, "FLATCAR_PREFIX_WRAPPER_DIR"


def _place(name: str, path: Path, variable: str, *, sudo: bool) -> Check:
    existing = next(p for p in (path, *path.parents) if p.exists())
    writable = os.access(existing, os.W_OK)
    how = " (through sudo)" if sudo and not writable else ""
    writable = writable or sudo
    choice = f", or choose another directory with {variable}" if variable else ""
    return Check(
        f"place of {name}",
        writable,
        f"{os.fspath(path)}{how}",
        "" if writable else f"Run as root{choice}.",
    )


_PURPOSES = {
    "bwrap": "flatcar-prefix run",
    "mksquashfs": "flatcar-prefix sysext",
    "setpriv": "wrappers of query tools",
    "scanelf": "builds with the checks of Portage",
    "tic": "sys-libs/ncurses",
}

PROGRAMS = {
    "unshare": "wrappers of query tools",
    "mkfs.erofs": "flatcar-prefix sysext --format=erofs",
    **{
        board.qemu: f"running programs of {board.name}"
        for board in BOARDS.values()
        if not board.is_native
    },
}


def _programs() -> Iterator[Check]:
    """Yield the checks of the programs that builds need, then of those for single verbs."""
    for program in programs.BUILD_PROGRAMS:
        which = [kind for kind in BOOTSTRAPS if program.needed_for(kind)]
        purpose = _PURPOSES.get(program.name) or (
            "all builds" if "all" in program.bootstraps else f"--bootstrap={' and '.join(which)}"
        )
        yield _program(program.name, purpose, needed="all" in program.bootstraps)
    for name, purpose in PROGRAMS.items():
        yield _program(name, purpose, needed=False)


def _program(program: str, purpose: str, *, needed: bool) -> Check:
    path = shutil.which(program) or next(
        (p for d in programs.SBIN if os.access(p := f"{d}/{program}", os.X_OK)), None
    )
    how = programs.install_command(program)
    hint = "" if path else f"Install it: {how}; needed for {purpose}."
    return Check(program, path is not None, path or "not installed", hint, needed=needed)


def _too_old(sdk: Sdk) -> Iterator[Check]:
    """Yield a failed check for each program that is too old for the repositories."""
    if build_host.is_gentoo():
        return
    try:
        found, _ = repos.find(sdk.scripts_dir)
    except PrefixError:
        return  # another check says so
    for one in too_old.find(found):
        yield Check(f"version of {one.program}", False, str(one), one.hint, needed=False)
    for unread in too_old.unreadable(found):
        yield Check("version of bash", False, str(unread), unread.hint, needed=False)


def _orphans(sdk: Sdk) -> Iterator[Check]:
    """Yield a failed check for each removed prefix that has left wrappers behind."""
    places = {sdk.wrapper_dir, *(prefix.wrapper_dir for prefix in registry.list_prefixes())}
    for staging, paths in sorted(marks.orphans(places).items()):
        prefix_id, where = paths[0].name.partition("-prefix-")[2], paths[0].parent
        found = f"{len(paths)} in {where} belong to {prefix_id}, whose {staging} has no record"
        by_hand = f"rm {shlex.quote(os.fspath(where))}/*-prefix-{prefix_id}"
        can = _can_uninstall(prefix_id, staging)
        hint = f"Remove them: {f'flatcar-prefix uninstall {prefix_id}' if can else by_hand}"
        yield Check("left wrappers", False, found, hint, needed=False)


def _can_uninstall(prefix_id: str, staging: Path) -> bool:
    """Return whether ``uninstall`` finds what is left of a prefix by its ID."""
    for board in BOARDS.values():
        if prefix_id.endswith(ending := f"-{board.name}"):
            left = lost.named(prefix_id.removesuffix(ending), board)
            return left is not None and left.staging_dir == staging
    return False


def _namespaces() -> Check:
    command = ["unshare", "--mount", "true"]
    if os.geteuid() != 0:
        command[1:1] = ["--user", "--map-root-user"]
    try:
        ok = process.run(command, capture=True, check=False).returncode == 0
    except PrefixError as error:
        return Check("namespaces", False, str(error), error.hint)
    hint = "" if ok else "Allow user namespaces (sysctl user.max_user_namespaces), or run as root."
    return Check(
        "namespaces", ok, "mount namespaces work" if ok else "mount namespaces do not work", hint
    )


def _confinement() -> Check:
    """Check whether this machine can keep builds from writing to it."""
    if reason := confinement.refusal():
        found = f"builds would not be confined: {reason}"
        return Check("confinement", False, found, confinement.REFUSED_HINT, needed=False)
    return Check("confinement", True, "builds see this machine read-only", needed=False)


def _reach() -> Check:
    """Check whether other users can run the wrappers that root creates."""
    python = interpreter()
    hidden = hidden_from_others() if os.geteuid() == 0 else None
    if hidden is None:
        return Check("Python for others", True, python, needed=False)
    hint = "Make it searchable (chmod o+x), or install this program with another Python."
    found = f"other users cannot reach {python}: {hidden} is not searchable"
    return Check("Python for others", False, found, hint, needed=False)


def as_text(checks: list[Check]) -> str:
    """Return the checks as text: one line each, and the hint below a failed one."""
    lines = []
    for check in checks:
        mark = "ok" if check.ok else "MISSING" if check.needed else "-"
        lines.append(f"{mark:8}{check.name}: {check.found}\n")
        if check.hint:
            lines.append(f"{'':8}  {check.hint}\n")
    return "".join(lines)


def as_json(checks: list[Check]) -> str:
    """Return the checks as a JSON list of objects."""
    return to_json([asdict(check) for check in checks])
