"""The sending half of an asyncio stream; see `feed.py`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.errors import ExplaindError
from explaind_client.images import ImageLike
from explaind_client.requests import Ask, StreamItem

Items = Iterable[tuple[str, ImageLike]] | AsyncIterable[tuple[str, ImageLike]]


class AsyncFeed:
    """gRPC's own task pulls `requests`, while the caller reads the answers."""

    def __init__(self, items: Items, ask: Ask, window: int) -> None:
        if window < 1:
            raise ValueError(f"window is {window}; it must be at least 1.")
        self._items, self._ask = items, ask
        self._room = asyncio.Semaphore(window)
        self._refused: deque[StreamItem] = deque()
        self._failure: BaseException | None = None

    async def requests(self) -> AsyncIterator[service_pb.StreamExplainRequest]:
        try:
            async for item_id, image in _each(self._items):
                request = await self._request(item_id, image)
                if request is not None:
                    await self._room.acquire()
                    yield request
        except Exception as exc:  # the caller's iterable failed: gRPC would hide that behind UNKNOWN
            self._failure = exc

    def answered(self) -> None:
        self._room.release()

    def refused(self) -> Iterator[StreamItem]:
        """Items that were not sent, because their image could not be read."""
        while self._refused:
            yield self._refused.popleft()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _request(self, item_id: str, image: ImageLike) -> service_pb.StreamExplainRequest | None:
        try:
            request = await asyncio.to_thread(self._ask.request, image)  # reads a file
        except ExplaindError as exc:
            self._refused.append(StreamItem(item_id=item_id, error=exc))
            return None
        return service_pb.StreamExplainRequest(item_id=item_id, request=request)


async def _each(items: Items) -> AsyncIterator[tuple[str, ImageLike]]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
