"""The daemon in a process of its own, as in production: its event loop shares no interpreter with what measures it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks import processes
from tests.benchmarks.watch import watching

ROOT = Path(__file__).parents[2]
COMMAND = "import sys; sys.argv = ['explaind', 'serve']; from explaind.cli.entry import main; main()"
"""As an operator starts it, command line and all."""


@dataclass(frozen=True)
class Daemon:
    address: str
    metrics_url: str
    pid: int

    @classmethod
    @contextmanager
    def running(cls, *, tree: Path = ROOT, code: str = COMMAND, **settings: Any) -> Iterator[Self]:
        """Warm; settings as in Settings. Its log goes to a file, as a container's does. tree: the sources it runs."""
        port, metrics_port = free_port(), free_port()
        given = {"model_store": ROOT / "model_store", "lame_duck_seconds": 0, **settings}
        given |= {"port": port, "metrics_port": metrics_port}
        environment = os.environ | {f"EXPLAIND_{name.upper()}": str(value) for name, value in given.items()}
        others = os.environ.get("PYTHONPATH", "")
        environment["PYTHONPATH"] = os.pathsep.join((str(tree), str(tree / "client"), others))
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=tree,
                env=environment,
                stderr=log,
            )
            try:
                daemon = cls(f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics", process.pid)
                daemon.wait_until_serving()
                yield daemon
            finally:
                process.terminate()
                process.wait(30)

    def wait_until_serving(self, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while time.monotonic() < end:
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=seconds, wait_for_ready=True)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                time.sleep(0.05)
        raise AssertionError("the daemon never served")

    def total(self, name: str, **labels: str) -> float:
        """Sum of a series over all labels that are not named."""
        with urllib.request.urlopen(self.metrics_url, timeout=30) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def resident_mib(self) -> float:
        return processes.resident_mib((self.pid,))

    def cpu_seconds(self) -> float:
        """Of all its threads so far."""
        return processes.cpu_seconds((self.pid,))


@dataclass
class HealthProbe:
    """seconds: what each answer of Health took. failures: how many were none, or not SERVING."""

    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    @classmethod
    @contextmanager
    def asking(cls, address: str, every: float = 0.02) -> Iterator[Self]:
        """Asks every `every` seconds, on a connection of its own."""
        probe = cls()
        with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            grpc.channel_ready_future(channel).result(20)
            health = health_pb2_grpc.HealthStub(channel)
            with watching(lambda: probe.ask(health), every):
                yield probe

    def ask(self, health: health_pb2_grpc.HealthStub) -> None:
        began = time.perf_counter()
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5.0)
            self.failures += answer.status != health_pb2.HealthCheckResponse.SERVING
        except grpc.RpcError:
            self.failures += 1
        self.seconds.append(time.perf_counter() - began)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
