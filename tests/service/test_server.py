import asyncio
import socket
import urllib.error
import urllib.request

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from explaind.errors import LaunchFailed
from explaind.service.server import Server
from explaind.settings import Settings

pytestmark = pytest.mark.asyncio


def get(port, path, host="127.0.0.1"):
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}") as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_http_says_metrics_and_health(start):
    running = await start()
    await running.explain()
    port = running.server.metrics_port
    assert await asyncio.to_thread(get, port, "/healthz") == (200, "SERVING\n")
    status, text = await asyncio.to_thread(get, port, "/metrics?x=1")
    assert status == 200
    assert 'explaind_queue_depth{cost_class="fast"} 0.0' in text
    assert (await asyncio.to_thread(get, port, "/other"))[0] == 404


def speaks_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not speaks_ipv6(), reason="this machine has no IPv6 loopback")
async def test_an_ipv6_host_serves_grpc_and_http(start):
    running = await start(host="::1")
    assert (await running.explain()).prediction.class_name == "bright"
    assert await asyncio.to_thread(get, running.server.metrics_port, "/healthz", "[::1]") == (200, "SERVING\n")


async def test_healthz_follows_the_backends(start, until):
    running = await start()
    running.engine.alive = False
    await until(lambda: not running.server.serving)
    assert await asyncio.to_thread(get, running.server.metrics_port, "/healthz") == (503, "NOT_SERVING\n")


@pytest.mark.parametrize(("setting", "option"), [("port", "--port"), ("metrics_port", "--metrics-port")])
async def test_a_port_in_use_is_one_clear_sentence(start, small_engine, setting, option):
    running = await start()
    taken = running.server.port if setting == "port" else running.server.metrics_port
    engine = small_engine()
    second = Server(Settings(**{"port": 0, "metrics_port": 0, setting: taken}), engine)
    with pytest.raises(LaunchFailed) as caught:
        await second.start()
    assert str(taken) in caught.value.message
    assert "in use" in caught.value.message
    assert option in caught.value.message
    assert (await running.explain()).prediction.class_name == "bright"


async def test_a_failed_start_leaves_its_ports_free(start, small_engine):
    running = await start()
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        free = placeholder.getsockname()[1]
    engine = small_engine()
    with pytest.raises(LaunchFailed):
        await Server(Settings(port=free, metrics_port=running.server.metrics_port), engine).start()
    assert engine.closed
    socket.create_server(("127.0.0.1", free)).close()


async def test_an_address_that_is_not_ours_is_one_clear_sentence(small_engine):
    with pytest.raises(LaunchFailed, match="no such address"):
        await Server(Settings(host="192.0.2.1", port=0, metrics_port=0), small_engine()).start()


async def test_a_stop_lets_running_work_finish_and_refuses_new(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=0.3))
    call = asyncio.ensure_future(running.explain())
    await until(lambda: running.engine.running == 1)
    stop = asyncio.create_task(running.server.stop(grace_seconds=30))
    assert (await call).prediction.class_name == "bright"
    await stop
    assert running.engine.closed
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explain()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stop_ends_the_warming_and_then_closes(start, small_engine, until):
    class Warming(type(small_engine())):
        told = closed_within = None

        def warm(self):
            self.told = False
            self.told = self.stopping.wait(60)
            self.closed_within = self.closed

    running = await start(Warming(), warm=False)
    await until(lambda: running.engine.told is False)
    await running.server.stop(grace_seconds=0.0)
    assert (running.engine.told, running.engine.closed_within, running.engine.closed) == (True, False, True)


async def test_an_open_watch_hears_of_the_drain_and_does_not_hold_it(start):
    running = await start()
    watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    stop = asyncio.create_task(running.server.stop(lame_duck_seconds=0.1, grace_seconds=1e6))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    await asyncio.wait_for(stop, 60)
    await running.server.wait()


async def test_the_grace_period_bounds_a_stop(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=1e6))
    call = running.explanations.Explain(request_for())
    await until(lambda: running.engine.running == 1)
    await running.server.stop(grace_seconds=0.1)
    assert running.engine.cancelled == 1
    assert await call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_hurry_ends_lame_duck_and_grace(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=1e6))
    call = running.explanations.Explain(request_for())
    await until(lambda: running.engine.running == 1)
    hurry = asyncio.Event()
    hurry.set()
    await asyncio.wait_for(running.server.stop(lame_duck_seconds=1e6, grace_seconds=1e6, hurry=hurry), 60)
    assert running.engine.cancelled == 1
    assert call.done() or await call.code()


async def test_an_oversized_message_is_told_apart_from_a_full_queue(start, request_for):
    running = await start(max_message_bytes=100_000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explain(model="x" * 200_000)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    (info,) = [
        each for each in rpc_status.from_call(caught.value).details if each.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)
    ]
    assert error_details_pb2.ErrorInfo.FromString(info.value).reason == "MESSAGE_TOO_LARGE"
    assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"  # retried in vain else
    assert (await running.explain()).prediction.class_name == "bright"


async def test_a_huge_model_name_still_gets_its_own_error(start):
    running = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explain(model="é" * 1_000_000)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
