import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from explaind.errors import ModelLoading
from explaind.service.health import HealthMonitor

pytestmark = pytest.mark.asyncio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("explaind.v1.ExplanationService", "explaind.v1.ModelService")


async def check(running, key=""):
    stub = health_pb2_grpc.HealthStub(running.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=key), timeout=10)).status


async def test_every_key_serves_once_warmed(start):
    running = await start()
    for key in ("", *SERVICES, "small", "backend/onnx"):
        assert await check(running, key) == SERVING


async def test_what_is_to_be_done_once_warm_is_done_before_anybody_is_told(small_engine, until):
    seen = []
    monitor = HealthMonitor(small_engine(), SERVICES, warmed=lambda: seen.append(monitor.serving))
    running = asyncio.create_task(monitor.run())
    await until(lambda: monitor.serving)
    running.cancel()
    await monitor.close()
    assert seen == [False]


async def test_an_unknown_key_is_not_found(start):
    running = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(running, "made-up")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_not_serving_until_warmed(start, small_engine, until, monkeypatch):
    monkeypatch.setattr("explaind.service.health.WARM_RETRY_SECONDS", 0.01)
    running = await start(small_engine(warming_failure=ModelLoading("Loading.")), warm=False)
    for key in ("", *SERVICES):
        assert await check(running, key) == NOT_SERVING
    running.engine.warming_failure = None
    await until(lambda: running.server.serving)
    assert await check(running) == SERVING


async def test_a_dead_backend_shows_and_a_watch_is_told(start):
    running = await start()
    watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest(service="backend/onnx"))
    assert (await watch.read()).status == SERVING
    running.engine.alive = False
    assert (await watch.read()).status == NOT_SERVING
    await asyncio.sleep(0)
    assert await check(running) == NOT_SERVING
    running.engine.alive = True
    assert (await watch.read()).status == SERVING
    watch.cancel()


async def test_a_model_that_no_backend_has_served_yet_counts(start, small_engine, until):
    engine = small_engine()
    engine.waiting = ("large",)
    running = await start(engine, warm=False)
    watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest(service="large"))
    while (await watch.read()).status != NOT_SERVING:
        continue  # the key is unknown until the engine has been asked
    watch.cancel()
    assert await check(running, "small") == SERVING
    for key in ("", *SERVICES):
        assert await check(running, key) == NOT_SERVING
    engine.waiting = ()
    await until(lambda: running.server.serving)


async def test_health_answers_while_every_worker_is_busy(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0), workers=2, queue_size=4)
    calls = [running.explanations.Explain(request_for()) for _ in range(6)]
    await until(lambda: running.engine.running == 2)
    for _ in range(20):
        assert await check(running) == SERVING
    assert running.engine.running == 2  # nothing had to end for it
    for call in calls:
        call.cancel()
    await until(lambda: running.engine.running == 0)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_what_is_served(start, version):
    running = await start()
    ask = running.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    async for answer in ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")])):
        names = {service.name for service in answer.list_services_response.service}
    reflections = {f"grpc.reflection.{v}.ServerReflection" for v in ("v1", "v1alpha")}
    assert names == {*SERVICES, "grpc.health.v1.Health", *reflections}
