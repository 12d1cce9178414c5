"""How many RPCs are in work, so that a draining server stops as soon as none is."""

from __future__ import annotations

import asyncio

from explaind.service.grpc_types import Context


class Activity:
    """Counts explaind's own RPCs. Health watches and reflection are not work: an open one must not hold a stop."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def count(self) -> int:
        return self._count

    def add(self, context: Context) -> None:
        """Until gRPC is done with it: when a handler returns, its answer has not been sent yet."""
        self._count += 1
        self._idle.clear()
        context.add_done_callback(self._one_less)  # type: ignore[arg-type]  # its stub names the parameter

    def _one_less(self, _: Context) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_until_idle(self) -> None:
        await self._idle.wait()
