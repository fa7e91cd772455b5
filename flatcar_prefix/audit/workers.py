# SPDX-License-Identifier: BSD-3-Clause
"""Processes that examine files side by side.

Smaller than the pools of the standard library, and for a reason: those take in all work
that there is before any is done, and keep what a worker needs in a global variable.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from flatcar_prefix.audit.examiner import Examiner, Outcome
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.errors import PrefixError

Work = tuple[str, list[Any]]
"""The name of a method of :class:`Examiner`, and what to pass to it."""


class Workers:
    """Runs work in this process, or in several others."""

    def __init__(self, tree: Tree, connections: list[Connection]) -> None:
        self._connections = connections
        self._examiner = None if connections else Examiner(tree)

    def run(self, work: Iterable[Work]) -> Iterator[Outcome]:
        """Yield the outcome of each piece of work, in any order.

        Takes a piece in when there is somebody to do it, and not before.
        """
        if self._examiner is not None:
            for method, items in work:
                yield getattr(self._examiner, method)(items)
            return
        pieces = iter(work)
        idle, busy = list(self._connections), set[Connection]()
        while True:
            while idle:
                piece = next(pieces, None)
                if piece is None:
                    break
                connection = idle.pop()
                with _alive():
                    connection.send(piece)
                busy.add(connection)
            if not busy:
                return
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                yield _receive(ready)
                busy.remove(ready)
                idle.append(ready)


@contextmanager
def _alive() -> Iterator[None]:
    """Within, :class:`PrefixError` when the process at the other end is gone."""
    try:
        yield
    except (EOFError, ConnectionError):
        raise PrefixError(
            "a process of the audit was killed", hint="See dmesg: was there memory enough?"
        ) from None


def _receive(connection: Connection) -> Outcome:
    with _alive():
        answer = connection.recv()
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(answer, Outcome)
    return answer


@contextmanager
def start_workers(tree: Tree, count: int) -> Iterator[Workers]:
    """Within, ``count`` processes wait for work; fewer than two: this one does it itself."""
    if count < 2:
        yield Workers(tree, [])
        return
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = []
    connections: list[Connection] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(theirs, tree), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            connections.append(ours)
        yield Workers(tree, connections)
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.terminate()
            process.join()


def _serve(connection: Connection, tree: Tree) -> None:
    """Do what comes through the connection until it ends."""
    try:
        examiner = Examiner(tree)
        while True:
            method, items = connection.recv()
            try:
                connection.send(getattr(examiner, method)(items))
            except Exception as error:
                connection.send(error)
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        return
