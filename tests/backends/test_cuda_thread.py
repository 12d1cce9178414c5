"""One thread for a device: jobs in order, results and errors back to whoever asked. It needs no device."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from explaind.backends.cuda_thread import CudaThread, cuda_thread


def test_all_jobs_run_in_one_thread_that_is_not_the_callers() -> None:
    thread = CudaThread()
    with ThreadPoolExecutor(8) as pool:
        places = set(pool.map(lambda _: thread.run(threading.get_ident), range(200)))
    assert len(places) == 1 and threading.get_ident() not in places


def test_every_caller_gets_its_own_result_and_one_job_runs_at_a_time() -> None:
    thread, running, most = CudaThread(), 0, 0

    def job(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1
        return number * number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: thread.run(lambda: job(n)), range(200))) == [n * n for n in range(200)]
    assert most == 1


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_is_the_callers_and_the_next_job_runs(error: BaseException) -> None:
    def fail() -> None:
        raise error

    thread = CudaThread()
    with pytest.raises(type(error)):
        thread.run(fail)
    assert thread.run(lambda: "next") == "next"


def test_a_job_may_ask_for_another() -> None:
    thread = CudaThread()
    assert thread.run(lambda: thread.run(lambda: "inner")) == "inner"


def test_a_process_has_one() -> None:
    assert cuda_thread() is cuda_thread()
