# SPDX-License-Identifier: BSD-3-Clause
"""A hook into ``portage.process`` for the processes that an ebuild can shape.

Portage has no public call that runs code between the fork and the change of the user. The
functions below replace ``portage.process._exec2``, the last step of all such processes, and
two names of ``portage.package.ebuild.doebuild``. They are the same in Portage 3.0.63 to 3.0.83.
"""

from __future__ import annotations

import os
import socket
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from flatcar_prefix.portage_api.emerge_hooks import replaced
from flatcar_prefix.system.namespace import become_init, end_with_parent


class Hook(Protocol):
    """Confines a process in the child, before it executes its program.

    It also mounts ``/proc`` of the process's PID namespace.
    """

    def __call__(
        self, settings: Mapping[str, str], *, uid: int | None, own_processes: bool
    ) -> Callable[[], None] | None:
        """Return the function to call last, or ``None`` to leave the process unchanged.

        ``settings`` are the environment of the process and, for a phase, the configuration
        of the package, of which the environment contains only a part. ``uid`` is the user that the
        process changes to. ``own_processes`` is True if it is in a new PID namespace.
        """


class _Running:
    """The configuration of the package whose phase is being started."""

    settings: Mapping[str, str] = {}


@contextmanager
def confined(hook: Hook, *, mark: str) -> Iterator[None]:
    """Within, ``hook`` is called in each process that Portage starts with an environment.

    A process that it confines has the variable ``mark`` in its environment.

    Portage gives ``pkg_*`` phases the network and System V IPC of the machine, because
    they may have to talk to its services. The services are not part of a prefix, so the hook
    denies both.
    """
    from portage import process
    from portage.package.ebuild import doebuild

    with ExitStack() as stack:
        confining = _confining(process._exec2, hook, mark)
        stack.enter_context(replaced(process, "_exec2", confining))
        stack.enter_context(replaced(doebuild, "spawn", _remembering(doebuild.spawn)))
        stack.enter_context(replaced(doebuild, "_ipc_phases", frozenset()))
        yield


def bring_up_loopback() -> None:
    """Configure the loopback interface of a new network namespace, as Portage does."""
    from portage.process import _configure_loopback_interface

    _configure_loopback_interface()


def _set_up_network() -> None:
    """Name the machine and configure the loopback interface, as ``_exec2`` of Portage does."""
    with suppress(OSError):
        socket.sethostname("localhost")
    bring_up_loopback()


@dataclass(frozen=True)
class _InitCall:
    """A call of Portage's program ``pid-ns-init``, the first process of a PID namespace.

    Its start takes longer than all else that confines a phase, so this process does its work.
    """

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None
    umask: int | None
    descriptors: frozenset[int]
    binary: str
    argv: list[Any]

    @staticmethod
    def of(words: Sequence[Any]) -> _InitCall | None:
        """Return the call with these words, or None if they are of another program."""
        if len(words) < 9 or os.path.basename(os.fsdecode(words[1])) != "pid-ns-init":
            return None
        uid, gid, groups, umask, descriptors, binary = map(os.fsdecode, words[2:8])
        return _InitCall(
            uid=int(uid) if uid else None,
            gid=int(gid) if gid else None,
            groups=tuple(map(int, groups.split(","))) if groups else None,
            umask=int(umask) if umask else None,
            descriptors=frozenset(map(int, descriptors.split(","))) if descriptors else frozenset(),
            binary=binary,
            argv=list(words[8:]),
        )

    def become_init(self) -> None:
        """Continue in a child process, which has only the descriptors of the call."""
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in {0, 1, 2, *self.descriptors}:
                with suppress(OSError):
                    os.close(int(name))
        become_init()


def _remembering(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``doebuild.spawn`` that keeps the settings for the forked process."""

    def spawn(mystring: str, mysettings: Any, *args: Any, **kwargs: Any) -> Any:
        before, _Running.settings = _Running.settings, mysettings
        try:
            return original(mystring, mysettings, *args, **kwargs)
        finally:
            _Running.settings = before

    return spawn


def _confining(original: Callable[..., None], hook: Hook, mark: str) -> Callable[..., None]:
    def exec2(
        binary: str, myargs: Any, env: Any, gid: Any, groups: Any, uid: Any, umask: Any, cwd: Any,
        pre_exec: Callable[[], None] | None,
        unshare_net: bool, unshare_ipc: bool, unshare_mount: bool, unshare_pid: bool, *rest: Any,
    ) -> None:  # fmt: skip
        call = _InitCall.of(myargs) if unshare_pid else None
        last = None
        if env:
            settings = ChainMap(env, _Running.settings)  # type: ignore[arg-type]
            last = hook(settings, uid=call.uid if call else uid, own_processes=unshare_pid)
        if last:
            env = {**env, mark: "yes"}
            # For these two, Portage would start mount(8) three times. The hook has done it.
            unshare_mount = unshare_pid = False
        if last and call:
            if unshare_net:
                _set_up_network()
                unshare_net = False
            last()
            call.become_init()
            last = None
            binary, myargs = call.binary, call.argv
            uid, gid, groups, umask = call.uid, call.gid, call.groups, call.umask

        def at_last() -> None:
            end_with_parent()  # The kernel forgets this when a process changes its user.
            if pre_exec:
                pre_exec()
            if last:
                last()

        return original(
            binary, myargs, env, gid, groups, uid, umask, cwd, at_last,
            unshare_net, unshare_ipc, unshare_mount, unshare_pid, *rest,
        )  # fmt: skip

    return exec2
