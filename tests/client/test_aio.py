from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from explaind_client import Ask, AsyncClient
from explaind_client.errors import BackendUnavailable, ImageUndecodable, InvalidRequest, ServerUnreachable
from tests.client.stand_in import GONE, StandIn, picture

pytestmark = pytest.mark.asyncio


async def test_every_call_answers(address: str, stand_in: StandIn) -> None:
    async with AsyncClient(address) as client:
        await client.wait_until_reachable()
        answer = await client.explain(picture(3), model="digits", anomaly_score=True)
        assert answer.prediction.class_index == 3
        scores = await client.score_anomalies([picture(4), b"junk"], model="digits")
        assert list(scores.class_indices) == [4, -1]
        compared = await client.compare_latents(picture(1), picture(2), model="digits")
        assert compared.differences[0].z_score == -2.5
        walked = await client.traverse_latents(picture(1), model="digits", dimensions=[4])
        assert walked.traversals[0].label == "z4"
        assert (await client.list_models())[0].name == "digits"
        assert (await client.get_model("digits")).version == "2"
    assert all(0 < remaining < 61 for remaining in stand_in.remaining)
    assert len(set(stand_in.request_ids)) == 6


async def test_lost_calls_are_repeated_under_one_request_id(address: str, stand_in: StandIn) -> None:
    stand_in.failures.extend([GONE, GONE])
    async with AsyncClient(address) as client:
        await client.explain(picture(3), model="digits")
    assert len(stand_in.request_ids) == 3 and len(set(stand_in.request_ids)) == 1


async def test_errors_are_typed(address: str, stand_in: StandIn) -> None:
    async with AsyncClient(address) as client:
        with pytest.raises(ImageUndecodable) as caught:
            await client.explain(b"junk", model="digits")
        assert caught.value.field == "image.encoded"
        stand_in.failures.extend([GONE] * 4)
        with pytest.raises(BackendUnavailable):
            await client.list_models()


async def test_nobody_there() -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(ServerUnreachable):
            await client.wait_until_reachable(timeout=0.2)


async def _numbers(count: int) -> AsyncIterator[tuple[str, bytes]]:
    for i in range(count):
        await asyncio.sleep(0)
        yield f"{i}", picture(i)


async def test_stream_takes_asynchronous_items(address: str) -> None:
    async with AsyncClient(address) as client:
        answers = [item async for item in client.stream(_numbers(20), ask=Ask(model="digits"), window=3)]
    assert {item.item_id for item in answers} == {f"{i}" for i in range(20)}


async def test_stream_errors_by_item(address: str, tmp_path: object) -> None:
    items = [("a", picture(1)), ("b", f"{tmp_path}/missing.png"), ("c", b"junk")]
    async with AsyncClient(address) as client:
        answers = {item.item_id: item async for item in client.stream(items, ask=Ask(model="digits"))}
    assert answers["a"].response is not None
    assert isinstance(answers["b"].error, ImageUndecodable) and isinstance(answers["c"].error, ImageUndecodable)


async def test_failing_items_show_as_themselves(address: str) -> None:
    def items() -> Iterator[tuple[str, bytes]]:
        yield "a", picture(1)
        raise ZeroDivisionError

    async with AsyncClient(address) as client:
        with pytest.raises(ZeroDivisionError):
            _ = [item async for item in client.stream(items(), ask=Ask(model="digits"))]


async def test_leaving_a_stream_cancels_it(address: str, stand_in: StandIn) -> None:
    stand_in.seconds = 0.02
    async with AsyncClient(address) as client:
        stream = client.stream(_numbers(1000), ask=Ask(model="digits"), window=2)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert await asyncio.to_thread(stand_in.cancelled.wait, 5)


async def test_an_answer_over_the_transports_limit_says_so(address: str, stand_in: StandIn) -> None:
    stand_in.padding = 65 * 2**20
    async with AsyncClient(address) as client:
        with pytest.raises(InvalidRequest, match="ask for less"):
            await client.explain(picture(1), model="digits")
