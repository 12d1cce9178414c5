"""The temporary folder that a TorchServe of our own runs in: its archives, configuration, logging and environment."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from explaind.errors import LaunchFailed

LOOPBACK, ANYWHERE = "127.0.0.1", "0.0.0.0"
_MESSAGE_BYTES = 64 * 1024 * 1024
# TorchServe's own configuration writes twenty debug lines a request, in two files and to the console.
_LOGGING = """<Configuration>
  <Appenders>
    <Console name="console" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} [%p] %c - %m%n"/></Console>
    <RollingFile name="models" fileName="${env:LOG_LOCATION}/model_log.log"
                 filePattern="${env:LOG_LOCATION}/model_log.%i.log">
      <PatternLayout pattern="%d{ISO8601} [%p] %t - %m%n"/>
      <SizeBasedTriggeringPolicy size="16 MB"/>
      <DefaultRolloverStrategy max="2"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Logger name="MODEL_LOG" level="info" additivity="false"><AppenderRef ref="models"/></Logger>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Root level="warn"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a TorchServe listens on."""

    inference: int
    management: int
    metrics: int
    grpc_inference: int
    grpc_management: int


def free_ports() -> Ports:
    """Five ports that were free just now, all different because they are held together."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(5)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))


def require_free(host: str, ports: Ports) -> None:
    """Raises LaunchFailed naming the first port that somebody else listens on."""
    for port in astuple(ports):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java: a port just left is free
            try:
                probe.bind((host, port))
            except (OSError, OverflowError) as exc:
                raise LaunchFailed(f"TorchServe cannot listen on {host}:{port} ({exc}); choose another.") from exc


def fill(folder: Path, host: str, ports: Ports, archives: Sequence[Path]) -> None:
    """Writes what `-f` and `-s` name: config.properties, log4j2.xml, and `models` with the archives."""
    for name in ("models", "logs", "tmp"):
        (folder / name).mkdir()
    for number, path in enumerate(archives):  # versions of a bundle have archives of the same name
        shutil.copyfile(path, folder / "models" / f"{number}-{path.name}")
    (folder / "config.properties").write_text(_properties(host, ports), encoding="utf-8")
    (folder / "log4j2.xml").write_text(_LOGGING, encoding="utf-8")


def _properties(host: str, ports: Ports) -> str:
    """One key a line. Message sizes are well above what the backend puts into one request."""
    values = {
        "inference_address": f"http://{host}:{ports.inference}",
        "management_address": f"http://{host}:{ports.management}",
        "metrics_address": f"http://{host}:{ports.metrics}",
        "grpc_inference_address": host,
        "grpc_inference_port": ports.grpc_inference,
        "grpc_management_address": host,
        "grpc_management_port": ports.grpc_management,
        "load_models": "all",
        "default_workers_per_model": 1,
        "disable_token_authorization": "true",
        "metrics_mode": "prometheus",
        "disable_system_metrics": "true",
        "enable_envvars_config": "false",
        "install_py_dep_per_model": "false",
        "max_request_size": _MESSAGE_BYTES,
        "max_response_size": _MESSAGE_BYTES,
        "number_of_netty_threads": 2,
        "netty_client_threads": 2,
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def environment(java: Path, folder: Path) -> dict[str, str]:
    """This process's environment without TorchServe's own variables, which would override the configuration."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TS_")}
    source = str(Path(__file__).parents[2])  # so that workers find explaind in a source tree too
    paths = [source, *filter(None, [inherited.get("PYTHONPATH")])]
    logs = str(folder / "logs")
    return inherited | {
        "JAVA_HOME": str(java.parent.parent),
        "TEMP": str(folder / "tmp"),
        "LOG_LOCATION": logs,
        "METRICS_LOCATION": logs,
        "PYTHONPATH": os.pathsep.join(paths),
    }
