"""Health as operations people read it: SERVING only when a real Explain would succeed.

Keys: "" (every default version has a live, warmed backend), each service, each model, each `backend/NAME`. A model
that goes away is NOT_SERVING from then on. A bundle that is broken counts nowhere: putting one into the store takes no
replica out of its balancer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from grpc_health.v1 import health, health_pb2

from explaind.errors import ExplaindError
from explaind.service.engine_protocol import ServedEngine

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
REFRESH_SECONDS = 0.5
"""Longer: a dead worker shows later (the promise is 5 s); shorter: the engine is asked for nothing."""
WARM_RETRY_SECONDS = 1.0


class HealthMonitor:
    """Warms the engine, then keeps `servicer` telling what the engine's backends are."""

    def __init__(
        self, engine: ServedEngine, services: Sequence[str], *, warmed: Callable[[], None] = lambda: None
    ) -> None:
        """warmed: called once, on the event loop, before anybody is told that the engine serves."""
        self._warmed = warmed
        self.servicer = health.aio.HealthServicer()
        self._engine = engine
        self._services = services
        self._shown: dict[str, bool] = {}
        # A thread of its own: health must not wait behind conversions, and a stop must wait for it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explaind-health")

    @property
    def serving(self) -> bool:
        return self._shown.get("", False)

    async def begin(self) -> None:
        """NOT_SERVING under every key known so far, until warmed."""
        await self._show(dict.fromkeys(("", *self._services), False))

    async def run(self) -> None:
        """Until cancelled."""
        await self._warm()
        self._warmed()
        while True:
            try:
                await self.refresh()
            except Exception as error:  # a monitor that dies would show its last word for ever
                log.error("health refresh failed", exc_info=error)
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        await self._show(await self._asked(self._look))

    async def drain(self) -> None:
        """NOT_SERVING everywhere, for good; open watches are told. `run` must have been cancelled."""
        await self.servicer.enter_graceful_shutdown()
        self._shown = dict.fromkeys(self._shown, False)

    async def close(self) -> None:
        """Returns when nothing asks the engine any more."""
        await asyncio.to_thread(self._thread.shutdown)

    async def _asked(self, question: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)

    async def _warm(self) -> None:
        told = ""
        while True:
            try:
                await self._asked(self._engine.warm)
                log.info("warmed")
                return
            except ExplaindError as error:
                if error.message != told:  # once, not every second
                    log.warning("not warm yet", reason=error.reason, detail=error.message)
                told = error.message
            except Exception as error:
                log.error("warming failed", exc_info=error)
            await asyncio.sleep(WARM_RETRY_SECONDS)

    def _look(self) -> dict[str, bool]:
        models = {summary.name: self._is_served(summary.name) for summary in self._engine.list_models()}
        models |= dict.fromkeys(self._engine.waiting_models(), False)
        overall = bool(models) and all(models.values())
        backends = {f"backend/{state.name}": state.alive for state in self._engine.backend_states()}
        gone = dict.fromkeys(self._shown.keys() - models.keys() - backends.keys(), False)
        return gone | {"": overall} | dict.fromkeys(self._services, overall) | models | backends

    def _is_served(self, model: str) -> bool:
        try:
            return any(state.alive for state in self._engine.describe(model, "").backends)
        except ExplaindError:
            return False

    async def _show(self, keys: dict[str, bool]) -> None:
        for key, serving in keys.items():
            if self._shown.get(key) is not serving:
                log.info("health", key=key, serving=serving)
                await self.servicer.set(key, SERVING if serving else NOT_SERVING)
        self._shown = keys
