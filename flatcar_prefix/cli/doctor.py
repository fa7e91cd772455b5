# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix doctor``: check this machine for prefix builds."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from flatcar_prefix.boards import BOARDS, DEFAULT_BOARD, Board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.repositories.profiles import choose_profile
from flatcar_prefix.system import process, programs, sudo
from flatcar_prefix.system.places import Sdk, detect_sdk
from flatcar_prefix.system.python import hidden_from_others, interpreter
from flatcar_prefix.toolchain import find as toolchains

HELP = "say what this machine has and lacks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--json", action="store_true", help="as JSON")
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
    checks += [_place(name, path, sudo=through_sudo) for name, path in _places(sdk)]
    checks += list(_programs())
    checks.append(_namespaces())
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


def _places(sdk: Sdk) -> Iterator[tuple[str, Path]]:
    yield "staging", sdk.build_base
    yield "final", sdk.prefix_base
    yield "distfiles", sdk.distdir
    yield "depcache", sdk.depcachedir
    yield "wrappers", sdk.wrapper_dir


def _place(name: str, path: Path, *, sudo: bool) -> Check:
    existing = next(p for p in (path, *path.parents) if p.exists())
    writable = os.access(existing, os.W_OK)
    how = " (through sudo)" if sudo and not writable else ""
    writable = writable or sudo
    return Check(
        f"place of {name}",
        writable,
        f"{os.fspath(path)}{how}",
        "" if writable else "Run as root, or choose another directory; see the README.",
    )


BUILD_PROGRAMS = {
    "gcc": "programs for the build host",
    "make": "building packages",
    "patch": "building packages",
}
"""Programs that every build needs."""

PROGRAMS = {
    "bwrap": "flatcar-prefix run",
    "unshare": "wrappers of query tools",
    "mksquashfs": "flatcar-prefix sysext",
    "mkfs.erofs": "flatcar-prefix sysext --format=erofs",
    **{
        board.qemu: f"running programs of {board.name}"
        for board in BOARDS.values()
        if not board.is_native
    },
}


def _programs() -> Iterator[Check]:
    for program, purpose in {**BUILD_PROGRAMS, **PROGRAMS}.items():
        path = shutil.which(program) or next(
            (p for d in programs.SBIN if os.access(p := f"{d}/{program}", os.X_OK)), None
        )
        how = programs.install_command(program)
        hint = "" if path else f"Install it: {how}; needed for {purpose}."
        found, needed = path or "not installed", program in BUILD_PROGRAMS
        yield Check(program, path is not None, found, hint, needed=needed)


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
    """Return the checks for people, one line each, with what to do below."""
    lines = []
    for check in checks:
        mark = "ok" if check.ok else "MISSING" if check.needed else "-"
        lines.append(f"{mark:8}{check.name}: {check.found}\n")
        if check.hint:
            lines.append(f"{'':8}  {check.hint}\n")
    return "".join(lines)


def as_json(checks: list[Check]) -> str:
    """Return the checks as a JSON list of objects."""
    return json.dumps([asdict(check) for check in checks], indent=2) + "\n"
