"""The daemon as a process: what it says, and how it ends."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from explaind.v1 import explanation_service_pb2, explanation_service_pb2_grpc

SCRIPT = """
import asyncio, sys
from pathlib import Path
from explaind.service.server import serve
from explaind.settings import Settings

asyncio.run(serve(Settings(
    port=0, metrics_port=0, model_store=Path(sys.argv[1]), lame_duck_seconds=float(sys.argv[2]), log_json=True,
)))
"""


@contextmanager
def daemon(store, lame_duck="0"):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(store), lame_duck], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def line(process, event):
    """The first log line of that event."""
    for text in process.stderr:
        entry = json.loads(text)
        if entry["event"] == event:
            return entry
    raise AssertionError(f"the daemon ended without saying {event}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_it_well(tmp_path, number):
    with daemon(tmp_path) as process:
        line(process, "listening")
        process.send_signal(number)
        line(process, "stopped")
        assert process.wait(60) == 0


def test_a_second_signal_ends_the_lame_duck(tmp_path):
    with daemon(tmp_path, lame_duck="100000") as process:
        line(process, "listening")
        process.terminate()
        line(process, "draining")
        process.terminate()
        assert process.wait(60) == 0


def test_an_empty_model_store_serves_nothing_and_says_what_to_do(tmp_path):
    with daemon(tmp_path) as process:
        address = line(process, "listening")["address"]
        assert "explaind train" in line(process, "not warm yet")["detail"]
        with grpc.insecure_channel(address) as channel:
            status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status
            assert status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.RpcError) as caught:
                explanation_service_pb2_grpc.ExplanationServiceStub(channel).Explain(
                    explanation_service_pb2.ExplainRequest(model="mnist", image={"encoded": b"x"})
                )
            assert caught.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)
