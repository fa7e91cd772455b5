# SPDX-License-Identifier: BSD-3-Clause
"""Confine the processes of a build in mount namespaces.

Each process that an ebuild can shape (a phase, the sourcing of its metadata, the fetcher)
runs in a mount namespace in which the machine is read-only. It writes to its build directory
or, after the build, to the roots and caches of the prefix. ``/tmp``, ``/var/tmp``, ``/run``
and ``/dev`` are private. A root of the prefix is mounted at its EPREFIX, so that built programs
run. The process cannot undo this: it has no capability to mount, and cannot gain one.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace as replace_field
from pathlib import Path

from flatcar_prefix.portage_api import phase_hooks, session as portage_api
from flatcar_prefix.portage_api.phase_hooks import Hook, bring_up_loopback
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.sandbox import emulation
from flatcar_prefix.sandbox.private_directories import Needed, is_directory, replace, tmpfs
from flatcar_prefix.system import messages, namespace
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.system.process import ending_children
from flatcar_prefix.system.python import PACKAGE_DIR

SWITCH = "FLATCAR_PREFIX_CONFINE"
"""The variable of make.conf or of the environment; ``no`` runs a build without confinement."""

MARK = "FLATCAR_PREFIX_CONFINED"
"""The variable that is ``yes`` in a confined process."""

EMPTIED = {"/tmp": "1777", "/var/tmp": "1777", "/run": "0755"}
"""Directories that are private to a process, except for the paths in them that it needs,
with their modes."""

RESOLVER = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/nscd")
"""Paths in /run that name resolution may need."""

DEVICES = ("full", "null", "random", "tty", "urandom", "zero")

DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}

KEPT = tuple(namespace.CAPABILITIES.values())
"""Capabilities of root in a phase: change owners of files, change the user, send signals."""

BUILDING = frozenset(
    {"nofetch", "pretend", "setup", "unpack", "prepare", "configure", "compile", "test", "install"}
)
"""Phases that write to the build directory only."""


RUNNING = frozenset({"configure", "compile", "test"})
"""Phases that may run programs that they compiled."""

_READ = ("PORTAGE_BIN_PATH", "PORTAGE_PYM_PATH", "PORTAGE_ACTUAL_DISTDIR")
"""The variables of a phase that name further directories to read."""

_LOCATION = re.compile(r"^location *= *(\S.*?) *$", re.MULTILINE)
"""A line of repos.conf, see portage(5)."""


@dataclass(frozen=True)
class Confinement:
    """The confinement of the builds of one prefix."""

    prefix: Prefix
    needed: Needed
    """Directories that each process of a build reads, even if they are in a private one."""
    emulator: Path | None = None
    """QEMU for programs of the board, which phases that compile may run; None for none."""

    @staticmethod
    def of(prefix: Prefix, *, more: Sequence[str] = ()) -> Confinement:
        """Return the confinement of ``prefix``; ``more`` are further readable paths."""
        places = (
            *(prefix.staging_dir, prefix.final_dir, prefix.distdir, prefix.depcachedir.parent),
            *(repository.location for repository in prefix.repositories),
            *(data_dir(), PACKAGE_DIR, Path(sys.prefix), Path(sys.base_prefix)),
            *(Path(prefix.toolchain.sysroot), Path(prefix.toolchain.cc).parent),
        )
        modules = (*sys.path, *portage_api.places())
        return Confinement(prefix, Needed.of((*map(os.fspath, places), *modules, *more)))

    def applies(self, env: Mapping[str, str]) -> bool:
        """Return whether a process with this environment is to be confined.

        In the SDK, a package of the build host itself writes to the machine by design.
        """
        if env.get(SWITCH) == "no" or not (env.get("EBUILD_PHASE") or "PORTAGE_BUILDDIR" in env):
            return False
        host = self.prefix.native_host and env.get("ROOT", "/") == "/"
        return not host or env.get("EBUILD_PHASE") in {*BUILDING, "depend", "fetch"}

    def emulates(self, env: Mapping[str, str]) -> bool:
        """Return whether a process with this environment can run programs of the board by QEMU.

        Later phases stay in the user namespace of the machine: file capabilities that a process
        sets in another one do not count there.
        """
        host = env.get("ROOT", "/") == "/"
        return bool(self.emulator) and not host and env.get("EBUILD_PHASE") in RUNNING

    def enter(self, env: Mapping[str, str], uid: int | None) -> None:
        """Confine this process, which is about to execute a part of a build.

        The process is in a private mount namespace. ``uid`` is the user that it changes to,
        ``None`` if it does not change. Raise ``OSError`` if the kernel refuses.
        """
        os.umask(0o022)
        namespace.make_private()
        writable = {path: namespace.clone_tree(path) for path in self._writable(env)}
        needed = self._needed(env, writable)
        devices = {name: namespace.clone_tree(f"/dev/{name}") for name in _devices()}
        namespace.make_read_only()
        replace({os.path.realpath(p): mode for p, mode in EMPTIED.items()}, needed, uid=uid)
        root = self._root(env)
        _stand_at(root.eroot, root.prefix.eprefix)
        for path, tree in writable.items():
            namespace.attach(tree, path)
        _fill_dev(devices)
        with suppress(OSError):
            os.chdir(os.getcwd())

    def _root(self, env: Mapping[str, str]) -> Root:
        """Return the root to mount at EPREFIX: the target of the installation, or staging."""
        final = self.prefix.final
        return final if _is_at(env.get("ROOT", ""), final.path) else self.prefix.staging

    def _writable(self, env: Mapping[str, str]) -> list[str]:
        """Return the existing directories and files that this process may write."""
        phase, build_dir = env.get("EBUILD_PHASE", ""), env.get("PORTAGE_BUILDDIR", "")
        if phase == "depend":
            return []
        if phase == "fetch":
            caches = (env.get("DISTDIR", ""), self.prefix.distdir, self.prefix.depcachedir.parent)
            return _existing((*caches, build_dir, env.get("PKGDIR", "")))
        extra = _extra_source(env)
        if phase in ("clean", "cleanrm"):
            # Portage removes the build directory itself, which cannot be a mount point then.
            return _existing((os.path.dirname(os.path.dirname(build_dir)), extra))
        places: list[str | Path] = [build_dir, extra, *_build_caches(env)]
        if phase not in BUILDING:
            roots = (self.prefix.staging, self.prefix.final)
            places += [root.path for root in roots]
            places += [root.logdir for root in roots]
            if phase == "package":  # It signs the package.
                places.append(env.get("BINPKG_GPG_SIGNING_GPG_HOME", ""))
            places += [env.get("PKGDIR", ""), self.prefix.staging.pkgdir, self.prefix.host_dir]
        return [*_existing(places), *_lock_of(build_dir)]

    def _needed(self, env: Mapping[str, str], writable: Iterable[str]) -> Needed:
        """Return the directories that the process reads, even if they are in a private one."""
        return self.needed.and_of(
            (
                *env.get("PATH", "").split(os.pathsep),
                *(env.get(name, "") for name in _READ),
                *_LOCATION.findall(env.get("PORTAGE_REPOSITORIES", "")),
                *shlex.split(env.get("PORTAGE_RO_DISTDIRS", "")),
                *writable,
                *RESOLVER,
            )
        )


REFUSED_HINT = (
    "Use Linux 5.2 or later with its namespaces; a user other than root needs user namespaces"
    " (sysctl user.max_user_namespaces)."
)
"""The hint for a machine whose kernel refuses the confinement."""


def describe(prefix: Prefix) -> str:
    """Return a description of how the builds of ``prefix`` are confined on this machine."""
    if not prefix.confined:
        return "not confined (--unconfined)"
    if reason := refusal(Confinement.of(prefix)):
        return f"not confined: {reason}"
    return f"confined: the machine is read-only; user {prefix.username}"


def refusal(confinement: Confinement | None = None) -> str:
    """Return why this machine refuses to confine builds, or an empty text.

    Try the confinement in a child process, for one prefix or for any prefix.
    """
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        with open(reading, "rb") as said:
            reason = said.read().decode("utf-8", "replace")
        os.waitpid(child, 0)
        return reason
    try:
        begin(env={}, offline=True)
        if confinement:
            confinement.enter({"EBUILD_PHASE": "depend", "PATH": os.defpath}, None)
        else:
            namespace.make_private()
            os.close(namespace.clone_tree("/dev/null"))
            namespace.make_read_only()
        namespace.drop_rights(KEPT)
    except BaseException as error:
        os.write(writing, (str(error) or type(error).__name__).encode())
    os._exit(0)


@contextmanager
def confined(prefix: Prefix, *others: Prefix) -> Iterator[None]:
    """Within, Portage confines the builds of ``prefix``; warn if this machine cannot.

    Builds can also read the repositories of ``others``. They end with this process; otherwise they
    would go on in the build directories of the next call. The environment must already name a
    root, because Portage reads it when it is imported.
    """
    # Do this first: some modules of Portage look up the build user when they are imported.
    owner = os.access(prefix.staging.eroot, os.W_OK)
    portage_api.import_portage(owner=owner, users=(prefix.username, prefix.groupname))
    read = [os.fspath(r.location) for other in others for r in other.repositories]
    confinement = Confinement.of(prefix, more=read)
    confinement = replace_field(confinement, emulator=emulation.for_builds(prefix))
    if reason := refusal(confinement):
        messages.warning(f"builds are not confined, as this machine refuses: {reason}")
        messages.hint(REFUSED_HINT)
        with ending_children():
            yield
        return
    with ending_children(), phase_hooks.confined(hook(confinement), mark=MARK):
        yield


def hook(confinement: Confinement) -> Hook:
    """Return the hook that confines each process of a build before its program starts."""

    def confine(
        settings: Mapping[str, str], *, uid: int | None, own_processes: bool
    ) -> Callable[[], None] | None:
        if not confinement.applies(settings):
            return None
        try:
            offline = is_offline(settings)
            emulator = confinement.emulator if confinement.emulates(settings) else None
            begin(env=settings, offline=offline, all_users=emulator is not None)
            if emulator:
                emulation.register(confinement.prefix, emulator)
            if not own_processes:
                namespace.enter_process_namespace(keep=KEPT)
            confinement.enter(settings, uid)
            mount_proc()
            if offline and os.geteuid() != 0:
                bring_up_loopback()
        except OSError as error:
            messages.error(f"a build cannot be confined: {error}")
            messages.hint(
                f"Run flatcar-prefix doctor, or set {SWITCH}=no to build without confinement."
            )
            os._exit(1)

        def last() -> None:
            namespace.drop_rights(KEPT)

        return last

    return confine


def begin(*, env: Mapping[str, str], offline: bool, all_users: bool = False) -> None:
    """Make the namespaces of a confined process.

    Root's include a user namespace only with ``all_users``, for an emulator of its own.
    For an ordinary user they include a user namespace, and what Portage unshares for root:
    System V IPC and, ``offline``, the network. A mount namespace of Portage's does not suffice:
    up to Portage 3.0.70, its supervisor of the process is in the same one, and starts a program
    of Portage there.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        unshare = namespace.unshare_with_all_users if all_users else namespace.unshare
        unshare(namespace.CLONE_NEWNS)
        return
    flags = namespace.CLONE_NEWUSER | namespace.CLONE_NEWNS
    features = env.get("PORTAGE_FEATURES", env.get("FEATURES", "")).split()
    if "ipc-sandbox" in features:
        flags |= namespace.CLONE_NEWIPC
    if offline:
        flags |= namespace.CLONE_NEWNET | namespace.CLONE_NEWUTS
    namespace.unshare(flags)
    namespace.map_own_user(uid, gid)


def is_offline(env: Mapping[str, str]) -> bool:
    """Return whether Portage's rules deny the network to a phase of an ordinary user.

    See ``_doebuild_spawn`` of Portage, which applies them only for root.
    """
    phase = env.get("EBUILD_PHASE", "")
    features = env.get("PORTAGE_FEATURES", env.get("FEATURES", "")).split()
    properties = env.get("PORTAGE_PROPERTIES", "").split()
    if phase == "fetch" or "network-sandbox" not in features:
        return False
    if phase != "depend" and "network-sandbox" in env.get("PORTAGE_RESTRICT", "").split():
        return False
    live = phase == "unpack" and "live" in properties
    return not (live or (phase == "test" and "test_network" in properties))


def mount_proc() -> None:
    """Mount /proc for the process namespace of this process, read-only.

    If the kernel refuses the mount, as in some containers, keep the existing /proc.
    """
    flags = namespace.MS_RDONLY | namespace.MS_NOSUID | namespace.MS_NODEV | namespace.MS_NOEXEC
    with suppress(OSError):
        namespace.mount("proc", "/proc", "proc", flags)


def _build_caches(env: Mapping[str, str]) -> Iterator[str]:
    """Yield the caches outside the build directory that a phase may write."""
    features = env.get("PORTAGE_FEATURES", env.get("FEATURES", "")).split()
    for feature, variable in (("ccache", "CCACHE_DIR"), ("distcc", "DISTCC_DIR")):
        if feature in features:
            yield env.get(variable, "")
    if "live" in env.get("PORTAGE_PROPERTIES", "").split() and env.get("EBUILD_PHASE") == "unpack":
        yield env.get("PORTAGE_ACTUAL_DISTDIR", env.get("DISTDIR", ""))


def _extra_source(env: Mapping[str, str]) -> str:
    """Return the directory of the variables that Portage does not export since EAPI 9.

    Some phases remove the file at their end.
    """
    return os.path.dirname(env.get("PORTAGE_EBUILD_EXTRA_SOURCE", ""))


def _lock_of(build_dir: str) -> list[str]:
    """Return the lock file beside a build directory, if it exists.

    ebuild-ipc of Portage 3.0.63 opens it for writing, to check whether emerge still runs.
    """
    directory, name = os.path.split(os.path.realpath(build_dir))
    path = Path(directory, f".{name}.portage_lockfile")
    return [os.fspath(path)] if build_dir and path.is_file() else []


def _existing(places: Iterable[str | Path]) -> list[str]:
    """Return the directories among ``places`` as unique real paths, without the root."""
    found = (os.path.realpath(place) for place in places if os.fspath(place).startswith("/"))
    return [place for place in dict.fromkeys(found) if place != "/" and is_directory(place)]


def _is_at(path: str, place: Path) -> bool:
    return bool(path) and os.path.normpath(path) == os.fspath(place)


def _devices() -> list[str]:
    names = [name for name in DEVICES if Path("/dev", name).exists()]
    # A new devpts needs a mapped root. An ordinary user cannot open the terminals of others.
    return names if os.geteuid() == 0 else [*names, "pts"]


def _fill_dev(devices: Mapping[str, int]) -> None:
    """Replace /dev by a directory without devices of the machine's hardware."""
    tmpfs("/dev", mode="0755")
    for name in ("pts", "shm"):
        Path("/dev", name).mkdir()
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"/dev/{name}")
    for name in devices.keys() - {"pts"}:
        Path(f"/dev/{name}").touch()
    namespace.make_read_only("/dev")
    for name, tree in devices.items():
        namespace.attach(tree, f"/dev/{name}")
    if "pts" not in devices:
        flags = namespace.MS_NOSUID | namespace.MS_NOEXEC
        namespace.mount("devpts", "/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666")
    tmpfs("/dev/shm", mode="1777")


def _stand_at(eroot: Path, eprefix: str) -> None:
    """Mount ``eroot`` at ``eprefix``; create the mount point if it does not exist."""
    if not eroot.is_dir():
        return
    tree = namespace.clone_tree(os.fspath(eroot))
    existing = eprefix
    while not Path(existing).is_dir():
        existing = os.path.dirname(existing)
    if existing != eprefix:
        try:
            Path(eprefix).mkdir(parents=True)  # In a private directory of this process.
        except OSError:
            _imitate(os.path.realpath(existing), eprefix)
    namespace.attach(tree, eprefix)
    namespace.make_read_only(eprefix)


def _imitate(directory: str, new: str) -> None:
    """Replace ``directory`` by a directory with the same entries and the directory ``new``."""
    at_root = directory == "/"
    place = "/tmp/.root" if at_root else directory
    entries = list(os.scandir(directory))
    trees = {e.name: namespace.clone_tree(e.path) for e in entries if not e.is_symlink()}
    links = {e.name: os.readlink(e.path) for e in entries if e.is_symlink()}
    if at_root:
        Path(place).mkdir()
    tmpfs(place, mode="0755")
    for name, target in links.items():
        os.symlink(target, f"{place}/{name}")
    for entry in entries:
        if entry.name in trees:
            target = f"{place}/{entry.name}"
            if entry.is_dir():
                Path(target).mkdir()
            else:
                Path(target).touch()
            namespace.attach(trees[entry.name], target)
    Path(f"{place}{new}" if at_root else new).mkdir(parents=True)
    namespace.make_read_only(place)
    if at_root:
        namespace.change_root(place)
