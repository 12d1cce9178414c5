"""TorchServe's management API, as far as readiness needs it. Ping says healthy before models are, so ask each model."""

from __future__ import annotations

import http.client
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from explaind.errors import BundleInvalid


class ModelName(NamedTuple):
    """A model as TorchServe knows it."""

    name: str
    version: str


def archive_model(archive: Path) -> ModelName:
    """What TorchServe will call the model of this archive. Raises BundleInvalid for a file that is no archive."""
    try:
        with zipfile.ZipFile(archive) as entries:
            model = json.loads(entries.read("MAR-INF/MANIFEST.json"))["model"]
        return ModelName(str(model["modelName"]), str(model["modelVersion"]))
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as exc:
        raise BundleInvalid(f"{archive} is no TorchServe archive ({exc!r}): build the bundle again.") from exc


def ready_models(address: str, models: Iterable[ModelName], timeout_seconds: float = 2.0) -> set[ModelName]:
    """Those of the models that have workers, all of them READY; empty where nothing answers.

    address: the management API, `http://host:port`.
    """
    return {model for model in models if _is_ready(address, model, timeout_seconds)}


def _is_ready(address: str, model: ModelName, timeout_seconds: float) -> bool:
    try:
        descriptions = _get(address, f"/models/{quote(model.name)}/{quote(model.version)}", timeout_seconds)
        workers = [worker for description in descriptions for worker in description["workers"]]
        return bool(workers) and all(worker["status"] == "READY" for worker in workers)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False


def _get(address: str, path: str, timeout_seconds: float) -> list[dict[str, list[dict[str, str]]]]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        value: list[dict[str, list[dict[str, str]]]] = json.loads(connection.getresponse().read())
        return value
    finally:
        connection.close()
