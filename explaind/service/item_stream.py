"""The flow of a bidirectional stream: a bounded number of items in work, each answered as soon as it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class ItemStream(Generic[Item, Answer]):
    """`window` items at once: an item leaves only when its answer has been written, so a caller that does not read
    is not read from either, and memory stays bounded."""

    def __init__(
        self, window: int, answer: Callable[[Item], Awaitable[Answer]], write: Callable[[Answer], Awaitable[None]]
    ) -> None:
        self._places = asyncio.Semaphore(window)
        self._answer = answer
        self._write = write
        # gRPC allows one write at a time on a stream.
        self._writing = asyncio.Lock()

    async def run(self, items: AsyncIterator[Item]) -> None:
        """Until `items` ends and all are answered. When this task is cancelled, so are all items in work."""
        try:
            async with asyncio.TaskGroup() as group:
                async for item in items:
                    await self._places.acquire()
                    group.create_task(self._serve(item))
        except ExceptionGroup as errors:  # the first to fail has cancelled the others
            raise errors.exceptions[0] from None

    async def _serve(self, item: Item) -> None:
        try:
            answer = await self._answer(item)
            async with self._writing:
                await self._write(answer)
        finally:
            self._places.release()
