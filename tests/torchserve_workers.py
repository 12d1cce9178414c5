"""The worker processes of one TorchServe among those that run: a test that kills one must not hit another server's."""

from __future__ import annotations

from pathlib import Path

import psutil

from explaind.backends.torchserve_launcher import TorchServe


def workers(server: TorchServe, role: str) -> list[psutil.Process]:
    """Of an archive, `classifier` or `vae`, known by the folder that they run in."""
    temporary = server.log_folder.parent
    of_server = [each for each in psutil.process_iter(["cmdline"]) if _is_worker(each, temporary)]
    return [each for each in of_server if (Path(each.cwd()) / f"{role}_handler.py").exists()]


def _is_worker(process: psutil.Process, temporary: Path) -> bool:
    command: list[str] = process.info["cmdline"] or []
    return any(Path(word).name == "model_service_worker.py" for word in command) and any(
        word.startswith(str(temporary)) for word in command
    )
