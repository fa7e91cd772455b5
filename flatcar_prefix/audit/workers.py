# SPDX-License-Identifier: BSD-3-Clause
"""Worker processes that examine files in parallel.

The pools of the standard library read the whole input before the first result, and need a
global variable for a worker's data. This module avoids both.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from flatcar_prefix.audit.examiner import Examiner, Outcome
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system.process import end_with

Work = tuple[str, list[Any]]
"""The name of a method of :class:`Examiner`, and its argument."""


class Workers:
    """Runs work in this process or in worker processes."""

    def __init__(self, tree: Tree, connections: list[Connection]) -> None:
        self._connections = connections
        self._examiner = None if connections else Examiner(tree)

    def run(self, work: Iterable[Work]) -> Iterator[Outcome]:
        """Yield the outcome of each piece of work, in any order.

        Read a piece from ``work`` only when a worker is idle. Raise :class:`PrefixError` if
        a worker is killed, and raise each exception of a worker again.
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
    """Raise :class:`PrefixError` if the process at the other end of the pipe is gone."""
    try:
        yield
    except (EOFError, ConnectionError):
        raise PrefixError(
            "a process of the audit was killed",
            hint="Run dmesg and check whether the machine ran out of memory.",
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
    """Start ``count`` processes for the context; below two, this process does the work."""
    if count < 2:
        yield Workers(tree, [])
        return
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = []
    connections: list[Connection] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(
                target=_serve, args=(theirs, tree, os.getpid()), daemon=True
            )
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


def _serve(connection: Connection, tree: Tree, parent: int) -> None:
    """Do the work that arrives on the connection, until it or the parent process ends.

    The connection alone does not end with the parent: later workers have inherited its end.
    """
    end_with(parent)
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
