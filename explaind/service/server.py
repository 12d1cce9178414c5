"""Builds the daemon and hands everything down: metrics, engine, admission, servicers, health, HTTP."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from explaind.engine import Engine
from explaind.metrics import Metrics
from explaind.service import grpc_metrics, huge_pages, listening, logging, reflection
from explaind.service.activity import Activity
from explaind.service.admission import Admission
from explaind.service.awake_loop import AwakeLoop
from explaind.service.engine_protocol import ServedEngine
from explaind.service.gate import Gate
from explaind.service.grpc_server import GrpcServer
from explaind.service.grpcio_server import GrpcioServer
from explaind.service.health import HealthMonitor
from explaind.service.http import MetricsServer
from explaind.service.http2.connection import Bounds
from explaind.service.interceptors import Observer
from explaind.service.model_servicer import ModelServicer
from explaind.service.rpc.server import RpcServer
from explaind.service.servicer import ExplanationServicer
from explaind.settings import Settings
from explaind.v1 import (
    explanation_service_pb2,
    explanation_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)

log = structlog.get_logger(__name__)

LAST_BYTES_SECONDS = 0.2
"""For answers that are on their way when the last call has ended; what an open health watch delays a stop by."""

MOST_WAITING = 20_000
"""Calls that have arrived and wait for the event loop, some 3 KiB each besides their message. Fewer: a burst is
refused; more: memory without use, as their callers have given up before their turn."""

CONNECTION_SECONDS = 300
"""After which a caller is asked to connect anew, so that balancers spread load; its calls under way go on to their end.
Shorter: connecting shows; longer: a new replica stays idle."""

LINES = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/explaind.v1.ExplanationService/Explain")
"""Which calls wait in lines of their own before the event loop takes them up: a probe is not held up by explanations,
however many wait; what is asked now and then is not held up by `Explain`."""

OWN_SERVICES = (
    explanation_service_pb2.DESCRIPTOR.services_by_name["ExplanationService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
)


class Server:
    """One daemon on one gRPC port and one HTTP port.

    engine None: `Engine.open(settings, metrics)` at start. `start` raises LaunchFailed where a port cannot be had
    and BundleInvalid and its kin where the engine cannot open; nothing is left running then.
    """

    def __init__(
        self,
        settings: Settings,
        engine: ServedEngine | None = None,
        *,
        metrics: Metrics | None = None,
        warmed: Callable[[], None] = lambda: None,
    ) -> None:
        """warmed: called once, when the engine is warm and before health says so."""
        self._warmed = warmed
        self.settings = settings
        self.metrics = metrics or Metrics(CollectorRegistry())
        self._engine = engine
        self._activity = Activity()
        self._stopped = asyncio.Event()
        self._port = 0

    @property
    def port(self) -> int:
        """Of gRPC; known after `start`."""
        return self._port

    @property
    def metrics_port(self) -> int:
        return self._http.port

    @property
    def serving(self) -> bool:
        """What overall health says."""
        return self._health.serving

    @property
    def active_calls(self) -> int:
        """explaind's own RPCs in work."""
        return self._activity.count

    @property
    def address(self) -> str:
        return listening.grpc_address(self.settings.host, self._port)

    async def start(self) -> None:
        """Returns when the ports are open. Health says NOT_SERVING until the engine is warm."""
        self._raise_if_taken()
        self._served = await self._opened_engine()
        try:
            await self._open()
        except BaseException:
            await asyncio.to_thread(self._served.close)
            raise
        self._monitoring = asyncio.create_task(self._health.run())
        log.info("listening", address=self.address, metrics_port=self.metrics_port)

    async def stop(
        self,
        *,
        lame_duck_seconds: float = 0.0,
        grace_seconds: float | None = None,
        hurry: asyncio.Event | None = None,
    ) -> None:
        """Health NOT_SERVING, wait for balancers to see it, then refuse new calls and stop as soon as none is in
        work, at the latest after the grace period (default: the settings') or when `hurry` is set."""
        hurry = hurry or asyncio.Event()
        self._monitoring.cancel()
        await self._health.drain()
        await _first_of(asyncio.sleep(lame_duck_seconds), hurry.wait())
        grace = self.settings.grace_seconds if grace_seconds is None else grace_seconds
        await self._stop_grpc(grace, hurry)
        await self._admission.close()
        await asyncio.to_thread(self._served.stop)  # or health, which warms, would wait until every model is open
        await self._health.close()
        await asyncio.to_thread(self._http.close)
        await asyncio.to_thread(self._served.close)
        self._stopped.set()
        log.info("stopped")

    async def _stop_grpc(self, grace: float, hurry: asyncio.Event) -> None:
        """gRPC's own grace period would be held to its end by an open health watch."""
        stopping = asyncio.create_task(self._grpc.stop(grace))
        # Shielded: cancelling one wait for gRPC's stop cancels what every other wait for it waits for.
        await _first_of(_shielded(stopping), self._activity.wait_until_idle(), hurry.wait())
        await self._grpc.stop(0.0 if hurry.is_set() else LAST_BYTES_SECONDS)
        await stopping

    async def wait(self) -> None:
        """Until stopped."""
        await self._stopped.wait()

    async def _open(self) -> None:
        settings = self.settings
        self._health = HealthMonitor(self._served, [service.full_name for service in OWN_SERVICES], warmed=self._warmed)
        await self._health.begin()
        self._http = MetricsServer(settings.host, settings.metrics_port, self.metrics.registry, lambda: self.serving)
        try:
            self._admission = Admission(settings, self.metrics)
            self._stay_awake()
            explanations = ExplanationServicer(self._served, self._admission, settings, self.metrics)
            self._grpc = self._new_grpc_server(Gate(self._admission, explanations.cost_classes(), self.metrics))
            self._add_servicers(explanations)
            self._port = self._bind()  # last: a port that grpcio has bound is free again only when it has been served
            await self._grpc.start()
        except BaseException:
            await asyncio.to_thread(self._http.close)
            raise

    async def _opened_engine(self) -> ServedEngine:
        if self._engine is not None:
            return self._engine
        return await asyncio.to_thread(Engine.open, self.settings, self.metrics)

    def _new_grpc_server(self, gate: Gate) -> GrpcServer:
        wrap = Observer(self.metrics, self._activity, gate).wrap
        most_bytes = self.settings.max_message_bytes
        if self.settings.transport == "grpcio":
            return GrpcioServer(
                wrap, age=CONNECTION_SECONDS, most_message_bytes=most_bytes, most_waiting=MOST_WAITING, lines=LINES
            )
        bounds = Bounds(age=CONNECTION_SECONDS)
        return RpcServer(wrap, bounds=bounds, most_message_bytes=most_bytes, most_waiting=MOST_WAITING, lines=LINES)

    def _stay_awake(self) -> None:
        """grpcio's server has a thread of its own that waits for calls; the loop would only take its interpreter."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, AwakeLoop) and self.settings.transport != "grpcio":
            loop.stay_awake(self.settings.awake_seconds, lambda: self._admission.calm, self.metrics.awake_seconds.inc)

    def _raise_if_taken(self) -> None:
        """Before the engine is opened, which takes seconds."""
        host, port = self.settings.host, self.settings.port
        why = listening.why_not(host, port)
        if why is not None:
            raise listening.cannot_listen(host, port, why, option="--port") from why

    def _bind(self) -> int:
        host, port = self.settings.host, self.settings.port
        try:
            return self._grpc.bind(host, port)
        except OSError as error:
            raise listening.cannot_listen(host, port, error, option="--port") from error

    def _add_servicers(self, explanations: ExplanationServicer) -> None:
        server: Any = self._grpc  # generated code asks for one of grpcio's, and uses what this has
        explanation_service_pb2_grpc.add_ExplanationServiceServicer_to_server(explanations, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(self._served), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable(self._grpc, [*(service.full_name for service in OWN_SERVICES), health_name])
        self._initialise_metrics()

    def _initialise_metrics(self) -> None:
        for service in OWN_SERVICES:
            for method in service.methods:
                grpc_metrics.initialise(self.metrics, grpc_metrics.Method.described(method))


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT, then the graceful stop; a second signal stops at once."""
    logging.configure(settings)
    server, asked = Server(settings, warmed=_settle_memory), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await server.start()
    await asked.wait()
    asked.clear()
    log.info("draining", lame_duck_seconds=settings.lame_duck_seconds, grace_seconds=settings.grace_seconds)
    await server.stop(lame_duck_seconds=settings.lame_duck_seconds, hurry=asked)


def _settle_memory() -> None:
    """What is there by now stays: looking through it for garbage would stop every request for some 40 ms each time. And
    it is asked again and again, so it may lie together."""
    gc.collect()
    gc.freeze()
    log.info("memory settled", huge_pages=huge_pages.gather())


async def _shielded(task: asyncio.Task[Any]) -> None:
    await asyncio.shield(task)


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Returns when one of them does; the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
