# SPDX-License-Identifier: BSD-3-Clause
"""Running a prefix's programs where nothing but the prefix exists.

bubblewrap builds the place; this module watches over it, so that to the caller the
program is all there is: its exit code, its signals, its terminal.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.sandbox import ld_debug
from flatcar_prefix.system import process

EMULATOR = "/run/flatcar-prefix/emulator"
TRACES = "/run/flatcar-prefix/traces"

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGALRM,
    signal.SIGCONT,
)
PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37
NETWORK_FILES = ("resolv.conf", "hosts", "nsswitch.conf")


class NoProgramError(PrefixError):
    """The program is not in the prefix; the exit code is the shell's for that."""

    exit_code = 127


class NotExecutableError(PrefixError):
    """The program is there, and cannot be run; the exit code is the shell's for that."""

    exit_code = 126


@dataclass(frozen=True)
class Bind:
    """A directory or file of the caller's that the program sees."""

    source: Path
    target: str
    writable: bool = True

    def words(self) -> list[str]:
        return ["--bind" if self.writable else "--ro-bind", os.fspath(self.source), self.target]


@dataclass(frozen=True)
class Place:
    """What a program sees: a root of a prefix, and what else the caller asked for."""

    root: Root
    binds: tuple[Bind, ...] = ()
    network: bool = False
    emulator: Path | None = None
    """QEMU's, when the board is of another architecture than this machine."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def eprefix(self) -> str:
        return self.root.prefix.eprefix

    @property
    def path(self) -> list[str]:
        """PATH, as directories of the target."""
        return [f"{self.eprefix}/{d}" for d in ("usr/bin", "bin", "usr/sbin", "sbin")]

    def on_host(self, target: str) -> Path | None:
        """Return where a path of the place lies outside of it; ``None`` for nowhere."""
        for inside, outside in self._mounts():
            if target == inside or target.startswith(inside + "/"):
                return Path(os.fspath(outside) + target[len(inside) :])
        return None

    def _mounts(self) -> Iterator[tuple[str, Path]]:
        for bind in reversed(self.binds):
            yield bind.target.rstrip("/"), bind.source
        yield self.eprefix, self.root.eroot

    def resolve(self, target: str, *, links: int = 40) -> Path | None:
        """Return the file on this machine that a path of the place leads to.

        Symlinks are followed as they will be in there, absolute ones into the place.
        """
        done = "/"
        parts = [part for part in target.split("/") if part]
        while parts:
            part = parts.pop(0)
            if part in (".", ".."):
                done = os.path.normpath(os.path.join(done, part))
                continue
            done = os.path.join(done, part)
            host = self.on_host(done)
            if host is not None and host.is_symlink():
                links -= 1
                if not links:
                    return None
                leads = os.readlink(host)
                parts = [word for word in leads.split("/") if word] + parts
                done = "/" if leads.startswith("/") else os.path.dirname(done)
        return host if (host := self.on_host(done)) and host.exists() else None


def parse_bind(text: str | Path) -> Bind:
    """Return the bind that ``SOURCE[:TARGET][:ro]`` asks for; SOURCE is its own TARGET."""
    words = os.fspath(text).split(":")
    writable = words[-1] != "ro"
    if not writable:
        words.pop()
    if len(words) not in (1, 2) or not all(words):
        raise UsageError(f"{text!s} is not a bind", hint="Write it as SOURCE[:TARGET][:ro].")
    source = Path(os.path.abspath(words[0]))
    target = words[1] if len(words) == 2 else os.fspath(source)
    if not target.startswith("/") or os.path.normpath(target) in ("/", "/proc", "/dev"):
        raise UsageError(
            f"nothing can be bound at {target}", hint="Give an absolute TARGET of its own."
        )
    if not source.exists():
        raise PrefixError(f"there is no {source} to bind", hint="Give --bind what exists.")
    return Bind(source, os.path.normpath(target), writable)


def find_program(place: Place, program: str, *, cwd: str = "/") -> str:
    """Return the path in ``place`` of a program that is named as to a shell."""
    if "/" in program:
        candidates = [os.path.normpath(os.path.join(cwd, program))]
    else:
        candidates = [f"{directory}/{program}" for directory in place.path]
    found = None
    for candidate in candidates:
        host = place.resolve(candidate)
        if host is None or host.is_dir():
            continue
        if os.access(host, os.X_OK):
            return candidate
        found = found or candidate
    if found:
        raise NotExecutableError(f"{found} is not executable", hint="See its mode in the package.")
    raise NoProgramError(
        f"the prefix {place.root.prefix.name} has no program {program}",
        hint="Give a program of the prefix by name, or by its path on the target"
        f" ({place.eprefix}/...).",
    )


def emulator(prefix: Prefix, *, machine: str | None = None) -> Path | None:
    """Return QEMU for the board's programs; ``None`` where this machine runs them itself."""
    if prefix.board.uname_machine == (machine or platform.machine()):
        return None
    return process.which(prefix.board.qemu, package="qemu-user-static").resolve()


def interpreted(place: Place, argv: Sequence[str], *, depth: int = 4) -> list[str]:
    """Return the command that runs ``argv`` without the kernel's help with scripts.

    An emulator loads ELF files only: a script's interpreter has to be named to it.
    """
    host = place.resolve(argv[0])
    with host.open("rb") if host else open(os.devnull, "rb") as file:
        line = file.read(256).split(b"\n", 1)[0]
    if not line.startswith(b"#!") or not depth:
        return list(argv)
    words = line[2:].decode("utf-8", "surrogateescape").strip().split(None, 1)
    return interpreted(place, [*words, *argv], depth=depth - 1) if words else list(argv)


def bwrap_words(place: Place, *, cwd: str) -> list[str]:
    """Return the options that make bubblewrap build ``place``."""
    words = [
        *("--unshare-all",),
        *(("--share-net",) if place.network else ()),
        *("--clearenv", "--hostname", place.root.prefix.name[:64]),
        *("--ro-bind", os.fspath(place.root.eroot), place.eprefix),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
    ]
    if place.emulator:
        words += ["--ro-bind", os.fspath(place.emulator), EMULATOR]
    if place.network:
        words += _network_words(place)
    for bind in place.binds:
        words += bind.words()
    for key, value in place.environment.items():
        words += ["--setenv", key, value]
    return [*words, "--remount-ro", "/", "--chdir", cwd]


def _network_words(place: Place) -> list[str]:
    """Return the options by which names are found, by the prefix's C library too."""
    words: list[str] = []
    for name in NETWORK_FILES:
        host = Path("/etc") / name
        if host.exists():
            words += ["--ro-bind", os.fspath(host.resolve()), f"/etc/{name}"]
        if host.exists() and (place.root.eroot / "etc" / name).is_file():
            words += ["--ro-bind", os.fspath(host.resolve()), f"{place.eprefix}/etc/{name}"]
    return words


def environment(prefix: Prefix, path: Sequence[str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: none of the caller's but what is in ``more``."""
    return {
        "PATH": os.pathsep.join(path),
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "EPREFIX": prefix.eprefix,
        **more,
    }


def run(
    prefix: Prefix,
    argv: Sequence[str],
    *,
    bind: Sequence[str | Path] = (),
    network: bool = False,
    trace_libs: bool = False,
    root_kind: str = "final",
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a program of the prefix where nothing else exists, and return its exit code.

    The program sees the prefix at EPREFIX, read-only, /proc, /dev, an empty /tmp, and each
    of ``bind`` (``SOURCE[:TARGET][:ro]``). Its streams are this process's. A program that a
    signal ended gives 128 and the signal's number. ``trace_libs`` prints what the loader
    loaded to stderr; :class:`PrefixError` when any of it came from outside the prefix.
    """
    if not argv:
        raise UsageError("there is nothing to run", hint="Give a program after --.")
    place = Place(prefix.root(root_kind), tuple(map(parse_bind, bind)), network, emulator(prefix))
    if not place.root.eroot.is_dir():
        raise PrefixError(
            f"there is nothing in {place.root.eroot}", hint="Install something first."
        )
    with ExitStack() as stack:
        more = dict(env or {})
        if trace_libs:
            traces = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trace-")))
            place = replace(place, binds=(*place.binds, Bind(traces, TRACES)))
            more |= {"LD_DEBUG": "libs,files", "LD_DEBUG_OUTPUT": f"{TRACES}/ld"}
        place = replace(place, environment=environment(prefix, place.path, more))
        code = _supervise(*_command(place, argv))
        if trace_libs:
            report(place, ld_debug.read(traces))
    return code


def _command(place: Place, argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return bubblewrap's command, and the one that has to precede it, if any."""
    cwd = os.getcwd()
    inside = any(PurePosixPath(cwd).is_relative_to(bind.target) for bind in place.binds)
    cwd = cwd if inside else "/"
    program = find_program(place, argv[0], cwd=cwd)
    command = [program, *argv[1:]]
    before: list[str] = []
    if place.emulator:
        before = binfmt(place.root.prefix, place.emulator)
        if not before:
            command = [EMULATOR, *interpreted(place, command)]
    bwrap = process.which("bwrap", package="bubblewrap")
    return [os.fspath(bwrap), *bwrap_words(place, cwd=cwd), "--", *command], before


def binfmt(prefix: Prefix, qemu: Path) -> list[str]:
    """Return a command that runs another where the kernel knows the board's programs.

    Since Linux 6.7 a user namespace may have a binfmt_misc of its own: what a program
    starts is emulated then, too, and nothing of the machine is changed. Empty where that
    cannot be; then only the program itself is emulated.
    """
    rule = _BINFMT_RULES[prefix.board.name].format(qemu=qemu)
    words = [
        *("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"),
        *("sh", "-euc", _BINFMT, "sh", rule),
    ]
    tried = process.run([*words, "true"], check=False, capture=True)
    return [os.fspath(process.which("unshare")), *words[1:]] if not tried.returncode else []


_BINFMT = """\
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s "$1" > /proc/sys/fs/binfmt_misc/register
shift
exec "$@"
"""

_ELF = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_BINFMT_RULES = {
    "amd64-usr": ":flatcar-prefix:M::" + _ELF + r"\x3e\x00:" + _MASK + ":{qemu}:F",
    "arm64-usr": ":flatcar-prefix:M::" + _ELF + r"\xb7\x00:" + _MASK + ":{qemu}:F",
}
"""Magic numbers of the ELF header: 64 bits, little endian, a program, the machine."""


def _supervise(bwrap: list[str], before: list[str]) -> int:
    """Run bubblewrap, pass on the signals that are sent to this process, return the exit code.

    bubblewrap forwards none. One that comes from a terminal reaches the whole process
    group, bubblewrap itself included, which dies of it: the program outlives that, and, as
    this process is made the reaper of its descendants, can still be waited for.
    """
    if not any(os.isatty(descriptor) for descriptor in range(3)):
        # Without a terminal, bubblewrap ends before its program only if this process does.
        bwrap = [bwrap[0], "--die-with-parent", *bwrap[1:]]
    reading, writing = os.pipe()
    watched = {*FORWARDED, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        with _reaping():
            child = subprocess.Popen(
                [*before, bwrap[0], "--info-fd", str(writing), *bwrap[1:]],
                pass_fds=(writing,),
                preexec_fn=lambda: _set_mask(mask),
            )
            os.close(writing)
            with open(reading, encoding="utf-8") as info:
                init = int(json.loads(info.read() or "{}").get("child-pid", 0))
            return _wait(child, init, watched)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _set_mask(mask: set[signal.Signals] | set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _reaping() -> Iterator[None]:
    """Within, a descendant whose parent has died is this process's child."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = ctypes.c_int(0)
    libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


def _wait(child: subprocess.Popen[bytes], init: int, watched: set[signal.Signals]) -> int:
    """Return the exit code of the program, from bubblewrap or, when that died, from ``init``."""
    while True:
        code = child.poll()
        if code is not None and not init:
            raise PrefixError(
                "bubblewrap could not build the place to run in",
                hint="See that user namespaces are allowed: sysctl user.max_user_namespaces.",
            )
        if code is not None and code >= 0:
            return code
        code = _ended(init)
        if code is not None:
            return process.exit_code(code)
        received = signal.sigwaitinfo(watched)
        # What the kernel sent, it sent to the program too.
        if received.si_signo != signal.SIGCHLD and received.si_code <= 0:
            _pass_on(init, received.si_signo)


def _ended(pid: int) -> int | None:
    """Return the exit code of an adopted child; ``None`` while it runs or is another's."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None


def _pass_on(init: int, number: int) -> None:
    """Send a signal to the program, which is the child of its namespace's init."""
    try:
        children = Path(f"/proc/{init}/task/{init}/children").read_text(encoding="ascii")
        for pid in children.split()[:1]:
            os.kill(int(pid), number)
    except OSError:
        return  # It has ended meanwhile.


def report(place: Place, libraries: Sequence[ld_debug.Library]) -> None:
    """Print what was loaded and from where; :class:`PrefixError` for anything from outside."""
    inside = [lib for lib in libraries if lib.inside(place.eprefix)]
    outside = [lib for lib in libraries if not lib.inside(place.eprefix)]
    for library in libraries:
        mark = "" if library in inside else "  (outside the prefix)"
        print(f"{library.name} => {library.path}{mark}", file=sys.stderr)
    if outside:
        raise PrefixError(
            f"{len(outside)} libraries came from outside the prefix: "
            + ", ".join(library.path for library in outside),
            hint="Build the package that asks for them against the prefix, and see what"
            " flatcar-prefix verify says.",
        )
    if not libraries:
        print(" * No library was traced: the program is static, or no ELF file.", file=sys.stderr)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``flatcar-prefix run``, the prefix's name aside."""
    parser.add_argument("--staging", action="store_true", help="the staging root's programs")
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="SOURCE[:TARGET][:ro]",
        help="have this file or directory in there too",
    )
    parser.add_argument("--network", action="store_true", help="with the machine's network")
    parser.add_argument(
        "--setenv", action="append", default=[], metavar="NAME=VALUE", help="set this variable"
    )
    parser.add_argument(
        "--trace-libs",
        action="store_true",
        help="print each library loaded and where from; fail if one came from outside",
    )
    parser.add_argument("program", help="by name, or by path on the target")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run_cli(prefix: Prefix, args: argparse.Namespace) -> int:
    """Run the program; its exit code is this program's."""
    env = {key: os.environ[key] for key in ("TERM", "COLORTERM") if key in os.environ}
    for text in args.setenv:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{text!r} sets no variable", hint="Write it as NAME=VALUE.")
        env[key] = value
    return run(
        prefix,
        [args.program, *args.arguments],
        bind=args.bind,
        network=args.network,
        trace_libs=args.trace_libs,
        root_kind="staging" if args.staging else "final",
        env=env,
    )
