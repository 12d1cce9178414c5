"""How many RPCs are in work, so that a draining server stops as soon as none is."""

from __future__ import annotations

import asyncio

from explaind.service.grpc_types import Context

SETTLED_SECONDS = 0.25
"""A call that gRPC has accepted reaches its handler a little later, on a busy machine not so little. Too small: a drain
cancels it; too large: every stop takes as much longer."""


class Activity:
    """Counts explaind's own RPCs. Health watches and reflection are not work: an open one must not hold a stop."""

    def __init__(self) -> None:
        self._count = 0
        self._seen = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def count(self) -> int:
        return self._count

    def add(self, context: Context) -> None:
        """Until gRPC is done with it: when a handler returns, its answer has not been sent yet."""
        self._count += 1
        self._seen += 1
        self._idle.clear()
        context.add_done_callback(self._one_less)  # type: ignore[arg-type]  # its stub names the parameter

    def _one_less(self, _: Context) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_until_idle(self) -> None:
        """No call in work, and none that came while making sure."""
        seen = -1
        while seen != self._seen:
            await self._idle.wait()
            seen = self._seen
            await asyncio.sleep(SETTLED_SECONDS)
