"""A real explaind server for tests: its own event loop in a thread, free ports, the committed bundle."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from explaind.service.server import Server
from explaind.settings import Settings


@contextmanager
def serving(settings: Settings, loop: asyncio.AbstractEventLoop | None = None) -> Iterator[Server]:
    """Started and warm, and stopped at the end without a lame-duck period. loop: to run in, and to close."""
    loop = loop or asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="explaind-test-server", daemon=True)
    thread.start()

    warm = threading.Event()

    async def build() -> Server:
        server = Server(settings, warmed=warm.set)
        await server.start()
        return server

    try:
        server = asyncio.run_coroutine_threadsafe(build(), loop).result(60)
        try:
            assert warm.wait(120), "the models were never loaded"
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(grace_seconds=1.0), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def until_serving(server: Server, seconds: float = 60.0) -> None:
    """A model that is loaded is served once an explanation has succeeded."""
    end = time.monotonic() + seconds
    while not server.serving:
        assert time.monotonic() < end, "it never served"
        time.sleep(0.02)
