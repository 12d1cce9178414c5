"""Calls that start at once: to their end where they wait for nothing, as a task where they do, one a turn of the
loop."""

from __future__ import annotations

import asyncio
import contextvars
import time

import pytest

from explaind.service.rpc.eager_start import start_eagerly
from tests.service.http2.peers import DATA, END_STREAM, RST_STREAM, connected, frame, message
from tests.service.rpc.plain_server import echo, path, plain_server

pytestmark = pytest.mark.asyncio

WHOSE = contextvars.ContextVar("WHOSE", default="nobody's")


async def test_what_waits_for_nothing_needs_no_task():
    seen = []

    async def brief():
        seen.append(WHOSE.get())
        WHOSE.set("the coroutine's")

    WHOSE.set("the caller's")
    assert start_eagerly(asyncio.get_running_loop(), brief()) is None
    assert (seen, WHOSE.get()) == (["the caller's"], "the caller's")


async def test_what_waits_goes_on_as_a_task_in_the_same_context():
    future, seen = asyncio.get_running_loop().create_future(), []

    async def waiting():
        WHOSE.set("the coroutine's")
        seen.append(await future)
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        seen.append(WHOSE.get())

    task = start_eagerly(asyncio.get_running_loop(), waiting())
    assert task is not None and not seen
    future.set_result("a")
    await task
    assert (seen, WHOSE.get()) == (["a", "the coroutine's"], "nobody's")


async def test_what_waits_for_the_loops_next_turn_only_goes_on_too():
    seen = []

    async def waiting():
        await asyncio.sleep(0)
        seen.append(1)

    await start_eagerly(asyncio.get_running_loop(), waiting())
    assert seen == [1]


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_cancellation_is_heard_whenever_it_comes(turns):
    """Before the task has had a turn of its own, too; and what was waited for is given up with it."""
    future, seen = asyncio.get_running_loop().create_future(), []

    async def waiting():
        try:
            await future
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            raise
        finally:
            seen.append("done")

    task = start_eagerly(asyncio.get_running_loop(), waiting())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled", "done"] and future.cancelled() and task.cancelled()


async def test_a_slot_that_is_waited_for_is_not_lost_nor_doubled_by_a_cancellation():
    slots = asyncio.Semaphore(1)
    await slots.acquire()
    task = start_eagerly(asyncio.get_running_loop(), slots.acquire())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slots.release()
    assert not slots.locked()
    await slots.acquire()
    assert slots.locked()


async def test_an_error_before_or_after_waiting_reaches_whoever_waits():
    async def broken(*, waits):
        if waits:
            await asyncio.sleep(0)
        raise ValueError("broken")

    loop = asyncio.get_running_loop()
    with pytest.raises(ValueError, match="broken"):
        start_eagerly(loop, broken(waits=False))
    with pytest.raises(ValueError, match="broken"):
        await start_eagerly(loop, broken(waits=True))


async def test_of_calls_that_came_together_one_is_taken_up_a_turn():
    """Another peer's waits for one of them, not for all."""
    computed = []

    async def busy(request, context):
        time.sleep(0.02)
        computed.append(request)
        return request

    async with (
        plain_server(unary={"Busy": busy}, lines=["Echo"]) as plain,
        connected(plain.address) as many,
        connected(plain.address) as one,
    ):
        one.send(one.call(1, path("Echo")))
        await one.answer(1)
        many.send(*(many.call(2 * n + 1, path("Busy"), b"b") for n in range(30)))
        while not computed:
            await asyncio.sleep(0)
        one.send(one.call(3, path("Echo"), b"e"))
        await one.answer(3)
        assert len(computed) < 15
        await many.answer(59)
        assert len(computed) == 30


async def test_a_call_whose_end_comes_by_itself_is_not_reset():
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("Echo")), frame(DATA, 0, 1, message(b"e")), frame(DATA, END_STREAM, 1))
        assert (await peer.answer(1))[1] == message(b"e")
        peer.send(peer.call(3, path("Echo")))
        while (found := await peer.frame()).stream != 3:
            assert found.kind != RST_STREAM


async def test_calls_that_begin_at_once_leave_nothing_behind():
    calls = []

    async def noting(request, context):
        calls.append(context)
        return await echo(request, context)

    async with plain_server(unary={"Noting": noting}) as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Noting")) + peer.call(3, path("Noting")))
        await peer.answer(3)
        assert calls[0]._task is None and not plain.server._calls
