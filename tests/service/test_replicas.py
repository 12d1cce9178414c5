"""Two replicas behind gRPC's own round robin: one goes, no caller notices."""

import asyncio

import grpc
import pytest

from explaind.v1 import explanation_service_pb2_grpc

pytestmark = pytest.mark.asyncio

# The caller watches each replica's health, as balancers do: the lame duck's time is for that. A call that reaches a
# gRPC server in the moment it closes, before any handler has it, is cancelled by gRPC itself (grpc/grpc#41785).
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}'


async def test_a_replica_that_drains_loses_no_call(start, small_engine, request_for, until):
    first, second = [await start(small_engine(seconds=0.002)) for _ in range(2)]
    target = f"ipv4:{first.server.address},{second.server.address}"
    errors, answered, ended = [], 0, asyncio.Event()

    async with grpc.aio.insecure_channel(target, options=[("grpc.service_config", ROUND_ROBIN)]) as channel:
        stub = explanation_service_pb2_grpc.ExplanationServiceStub(channel)

        async def caller():
            nonlocal answered
            while not ended.is_set():
                try:
                    await stub.Explain(request_for(), timeout=60)
                    answered += 1
                except grpc.aio.AioRpcError as error:
                    errors.append(error)

        callers = [asyncio.create_task(caller()) for _ in range(6)]
        await until(lambda: len(first.engine.seen) > 20 and len(second.engine.seen) > 20)
        await first.server.stop(lame_duck_seconds=1.0, grace_seconds=60)
        before = answered
        await until(lambda: answered > before + 20)
        ended.set()
        await asyncio.gather(*callers)
    assert [error.details() for error in errors] == []
    assert answered == len(first.engine.seen) + len(second.engine.seen)
