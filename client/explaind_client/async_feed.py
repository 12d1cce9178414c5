"""The sending half of an asyncio stream; see `feed.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.images import ImageLike
from explaind_client.requests import Ask
from explaind_client.unsent import Unsent

Items = Iterable[tuple[str, ImageLike]] | AsyncIterable[tuple[str, ImageLike]]


class AsyncFeed(Unsent):
    """gRPC's own task pulls `requests`, while the caller reads the answers."""

    def __init__(self, items: Items, ask: Ask, window: int) -> None:
        super().__init__(ask, window)
        self._items = items
        self._room = asyncio.Semaphore(window)

    async def requests(self) -> AsyncIterator[service_pb.StreamExplainRequest]:
        try:
            async for item_id, image in _each(self._items):
                request = await asyncio.to_thread(self._request, item_id, image)
                if request is not None:
                    await self._room.acquire()
                    yield request
        except Exception as exc:  # the caller's iterable failed: gRPC would hide that behind UNKNOWN
            self._failure = exc

    def answered(self) -> None:
        self._room.release()


async def _each(items: Items) -> AsyncIterator[tuple[str, ImageLike]]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
