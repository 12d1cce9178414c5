"""Threads that compute for the event loop: outcomes, errors, closed loops, and the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from explaind.service.worker_threads import Outcome, WorkerThreads


async def _computed(threads: WorkerThreads, work: object) -> object:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[object] = loop.create_future()
    threads.run(work, lambda outcome: loop.call_soon_threadsafe(outcome.pass_on, answer))  # type: ignore[arg-type]
    return await answer


def test_results_and_errors_reach_who_waits() -> None:
    threads = WorkerThreads(2, name="test")

    def broken() -> None:
        raise ValueError("broken")

    async def ask() -> None:
        assert await _computed(threads, lambda: None) is None
        assert await _computed(threads, threading.get_ident) != threading.get_ident()
        with pytest.raises(ValueError, match="broken"):
            await _computed(threads, broken)
        assert await _computed(threads, lambda: 7) == 7

    asyncio.run(ask())
    threads.close()


def test_as_many_jobs_run_at_once_as_there_are_threads() -> None:
    threads, together = WorkerThreads(3, name="test"), threading.Barrier(3, timeout=20)

    async def ask() -> list[object]:
        return await asyncio.gather(*(_computed(threads, together.wait) for _ in range(3)))

    assert sorted(asyncio.run(ask())) == [0, 1, 2]  # type: ignore[type-var]
    threads.close()


def test_an_outcome_that_nobody_can_be_told_harms_no_other_job() -> None:
    threads, told = WorkerThreads(1, name="test"), threading.Event()
    loop = asyncio.new_event_loop()
    loop.close()
    threads.run(lambda: 1, lambda outcome: loop.call_soon_threadsafe(print, outcome))
    threads.run(lambda: 2, lambda outcome: told.set())
    assert told.wait(20)
    threads.close()


def test_who_has_given_up_is_not_told() -> None:
    async def give_up() -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answer.cancel()
        Outcome(result=1).pass_on(answer)
        Outcome(error=ValueError()).pass_on(answer)
        return answer

    assert asyncio.run(give_up()).cancelled()


def test_closing_waits_for_what_has_begun() -> None:
    threads, begun, go_on, done = WorkerThreads(1, name="test"), threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go_on.wait(20)
        done.append(True)

    threads.run(work, lambda outcome: None)
    assert begun.wait(20)
    closing = threading.Thread(target=threads.close)
    closing.start()
    go_on.set()
    closing.join(20)
    assert done == [True]


def test_the_thread_that_was_idle_shortest_computes_next() -> None:
    """Its core's caches are warm: one caller after another is served by one thread."""
    threads = WorkerThreads(4, name="test")

    async def ask() -> object:
        answer = await _computed(threads, threading.get_ident)
        # A thread that has told its outcome is idle only when it has been scheduled once more.
        async with asyncio.timeout(20):
            while len(threads._idle) < 4:
                await asyncio.sleep(0.0005)
        return answer

    async def ask_often() -> set[object]:
        await ask()
        return {await ask() for _ in range(40)}

    assert len(asyncio.run(ask_often())) == 1
    threads.close()


def test_no_job_is_lost_however_they_come() -> None:
    threads, done, ended = WorkerThreads(3, name="test"), [], threading.Event()

    def tell(outcome: Outcome[int]) -> None:
        done.append(outcome.result)
        if len(done) == 3000:
            ended.set()

    def send(first: int) -> None:
        for number in range(first, first + 1000):
            threads.run(lambda number=number: number, tell)  # type: ignore[misc]

    senders = [threading.Thread(target=send, args=(1000 * place,)) for place in range(3)]
    for sender in senders:
        sender.start()
    assert ended.wait(60)
    assert sorted(done) == list(range(3000))  # type: ignore[type-var]
    threads.close()
