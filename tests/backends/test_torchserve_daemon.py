"""TorchServe as a container runs it: fixed ports, a line when ready, an end on SIGTERM, a sentence when it cannot."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from explaind.backends import torchserve, torchserve_daemon
from explaind.backends.torchserve_configuration import Ports, free_ports, require_free
from explaind.errors import LaunchFailed
from tests.untrained_archives import write_untrained

SOURCE = Path(torchserve_daemon.__file__).parents[2]


def _run(store: Path, http: int, grpc: int) -> subprocess.Popen[str]:
    words = ["--model-store", str(store), "--http-port", str(http), "--grpc-port", str(grpc)]
    return subprocess.Popen(
        [sys.executable, "-m", "explaind.backends.torchserve_daemon", *words], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip


def _three_in_a_row() -> int:
    """A port with two free ones after it."""
    while True:
        first = free_ports().inference
        try:
            require_free("127.0.0.1", Ports(*range(first, first + 5)))
        except LaunchFailed:
            continue
        return first


@pytest.mark.torchserve
def test_it_serves_on_the_ports_it_was_told_until_sigterm(tmp_path: Path) -> None:
    bundle = write_untrained(tmp_path / "untrained" / "1")
    grpc, http = _three_in_a_row(), _three_in_a_row()
    with _run(tmp_path, http, grpc) as daemon:
        try:
            assert daemon.stdout
            assert daemon.stdout.readline() == f"TorchServe is ready on 127.0.0.1:{grpc}\n"
            models = torchserve.open_bundle(
                bundle, address=f"127.0.0.1:{grpc}", management=f"http://127.0.0.1:{http + 1}"
            )
            models.check()
            assert models.classifier.logits(np.zeros((1, 1, 28, 28), np.float32)).shape == (1, 10)
            models.close()
        finally:
            daemon.send_signal(signal.SIGTERM)
        _, errors = daemon.communicate(timeout=30)
    assert (daemon.returncode, errors) == (0, "")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with _run(tmp_path, port, _three_in_a_row()) as daemon:
            _, errors = daemon.communicate(timeout=30)
    assert daemon.returncode == 1
    assert errors.startswith(f"explaind: TorchServe cannot listen on 127.0.0.1:{port}")
    assert len(errors.splitlines()) == 1


def test_an_empty_model_store_is_said(tmp_path: Path) -> None:
    with _run(tmp_path, _three_in_a_row(), _three_in_a_row()) as daemon:
        _, errors = daemon.communicate(timeout=30)
    assert daemon.returncode == 1
    assert str(tmp_path) in errors and "--model-store" in errors


@pytest.mark.parametrize("port", [0, -5, 65534, 99999])
def test_a_port_that_cannot_be_is_wrong_usage(tmp_path: Path, port: int) -> None:
    with _run(tmp_path, port, _three_in_a_row()) as daemon:
        _, errors = daemon.communicate(timeout=30)
    assert daemon.returncode == 2
    assert f"--http-port: {port} is not from 1 to 65533" in errors
