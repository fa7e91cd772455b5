# SPDX-License-Identifier: BSD-3-Clause
"""An exception in Portage's event loop ends the run; nothing waits for ever."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest
from machine import InUse, Overlay
from portage.util._eventloop.global_event_loop import global_event_loop

from flatcar_prefix.portage_api import emerge_hooks, event_loop


def fail() -> None:
    raise ValueError("in a callback")


def wait_for_ever(prepare: Callable[[Any], object]) -> None:
    """Wait in Portage's loop for a future that nothing sets."""
    loop = global_event_loop()
    prepare(loop)
    loop.run_until_complete(asyncio.wait_for(loop.create_future(), 20))


async def fail_later() -> None:
    fail()


@pytest.mark.parametrize(
    "prepare",
    [
        lambda loop: loop.call_soon(fail),
        # Nothing reads the result of this task.
        lambda loop: asyncio.ensure_future(fail_later(), loop=loop._loop) and None,
    ],
    ids=["callback", "task"],
)
def test_an_exception_of_a_callback_is_raised(prepare: Callable[[Any], object]) -> None:
    with (
        pytest.raises(ValueError, match="in a callback"),
        event_loop.failing(lambda error: pytest.fail(f"reported here: {error}")),
    ):
        wait_for_ever(prepare)


def test_it_ends_a_forked_process_and_is_reported_there() -> None:
    fork = multiprocessing.get_context("fork")
    reading, writing = fork.Pipe(duplex=False)

    def work() -> None:
        wait_for_ever(lambda loop: loop.call_soon(fail))

    with event_loop.failing(lambda error: writing.send(str(error))):
        process = fork.Process(target=work)
        process.start()
        assert reading.poll(20)
        assert reading.recv() == "in a callback"
        process.join(20)
    assert process.exitcode == 1


def leave_a_task_pending(loop: Any) -> None:
    async def run() -> None:
        await loop.create_future()

    loop.create_task(run())
    loop.run_until_complete(asyncio.sleep(0))


def test_tasks_that_a_failed_build_leaves_are_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = global_event_loop()
    with event_loop.failing(print):
        leave_a_task_pending(loop)
        gc.collect()
        leave_a_task_pending(loop)
    gc.collect()
    assert not caplog.messages
    loop._loop.call_exception_handler({"message": "something else"})
    assert caplog.messages == ["something else"]


def test_terminated_tasks_get_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emerge_hooks, "GRACE", 0.1)
    with pytest.raises(SystemExit) as caught:
        wait_for_ever(emerge_hooks._leave_later)
    assert caught.value.code == 130


@pytest.mark.needs_root
@pytest.mark.timeout(300)
def test_emerge_ends_if_it_cannot_read_the_package_that_it_has_written(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    """The phase packs without compression, so emerge cannot decompress the result."""
    overlay.ebuild("test-loop/broken-1", "export BINPKG_COMPRESS=none\n")
    result = empty_prefix.emerge("--stage", "test-loop/broken", timeout=200)
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert " * emerge: unexpected error: tarfile.ReadError: empty file" in said
    assert "Traceback" not in said
