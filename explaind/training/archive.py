"""TorchServe archives (.mar), the same bytes from the same bundle: entries in fixed order, with fixed times.

An archive is self-contained: its handler's source, the tables and weights of just its networks, and a
configuration. Entries are stored, not deflated, so that the bytes do not depend on zlib's version.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from explaind.backends import networks
from explaind.errors import BundleInvalid, RecipeInvalid

CONFIGURATION = "model-config.yaml"
_ARCHIVER_VERSION = "0.12.0"  # the format that TorchServe 0.12 reads
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can have


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveConfiguration:
    """TorchServe's settings of one model.

    batch_size: requests a worker gets at once; too small: concurrent callers wait for each other, too large: the
    first of a batch waits for the last. max_batch_delay_ms: how long a lone request waits for company; every request
    that stays alone pays it. TorchServe takes 0 for its own default of 100 ms. response_timeout_seconds: a worker
    silent for longer is restarted. startup_timeout_seconds: TorchServe's own 120 s let a worker on a busy host be
    killed and started anew while it was still importing torch. threads: what torch computes with in a worker.
    """

    batch_size: int = 8
    max_batch_delay_ms: int = 1
    response_timeout_seconds: int = 30
    startup_timeout_seconds: int = 600
    threads: int = 1

    def __post_init__(self) -> None:
        """Raises RecipeInvalid for a value that TorchServe would quietly replace by a default."""
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise RecipeInvalid(f"An archive's {name} must be at least 1, not {getattr(self, name)}.")

    def yaml(self) -> str:
        return (
            "minWorkers: 1\nmaxWorkers: 1\n"
            f"batchSize: {self.batch_size}\nmaxBatchDelay: {self.max_batch_delay_ms}\n"
            f"responseTimeout: {self.response_timeout_seconds}\nstartupTimeout: {self.startup_timeout_seconds}\n"
            f"handler:\n  threads: {self.threads}\n"
        )


def write_archives(
    name: str, version: str, folder: Path, configuration: ArchiveConfiguration | None = None
) -> tuple[Path, ...]:
    """Writes `<name>-classifier.mar` and, if the bundle has latent spaces, `<name>-vae.mar` into the bundle folder.

    folder: has networks.json (folded tables, see `backends.networks`) and weights.safetensors (`classifier.…`,
    `<space>.encoder.…`, `<space>.decoder.…`). Raises BundleInvalid where they are missing or damaged.
    """
    tables, weights = networks.read(folder), _weights(folder / networks.WEIGHTS)
    configuration = configuration or ArchiveConfiguration()
    parts: list[tuple[str, networks.Networks, tuple[str, ...]]]
    parts = [("classifier", replace(tables, spaces={}, graphs=()), ("classifier.",))]
    if tables.spaces:
        prefixes = tuple(f"{space}." for space in tables.spaces)
        parts.append(("vae", replace(tables, classifier=(), graphs=()), prefixes))
    written = []
    for role, own, prefixes in parts:
        chosen = {key: value for key, value in weights.items() if key.startswith(prefixes)}
        path = folder / f"{name}-{role}.mar"
        _write_zip(path, _entries(f"{name}-{role}", version, role, own, save(chosen), configuration))
        written.append(path)
    return tuple(written)


def _weights(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        weights: dict[str, NDArray[np.float32]] = load_file(path)
        return weights
    except (OSError, SafetensorError) as exc:
        raise BundleInvalid(f"{path} is missing or damaged ({exc}); export the bundle again.") from exc


def _entries(
    model: str,
    version: str,
    role: str,
    tables: networks.Networks,
    weights: bytes,
    configuration: ArchiveConfiguration,
) -> dict[str, bytes]:
    handler = f"{role}_handler.py"
    return {
        CONFIGURATION: configuration.yaml().encode(),
        handler: (handlers_folder() / handler).read_bytes(),
        networks.FILE_NAME: networks.text(tables).encode(),
        networks.WEIGHTS: weights,
        "MAR-INF/MANIFEST.json": _manifest(model, version, handler),
    }


def _manifest(model: str, version: str, handler: str) -> bytes:
    """The keys torch-model-archiver writes, in its order; the time is fixed."""
    value = {
        "createdOn": "01/01/1980 00:00:00",
        "runtime": "python",
        "model": {
            "modelName": model,
            "serializedFile": networks.WEIGHTS,
            "handler": handler,
            "modelVersion": version,
            "configFile": CONFIGURATION,
        },
        "archiverVersion": _ARCHIVER_VERSION,
    }
    return json.dumps(value, indent=2).encode()


def _write_zip(path: Path, entries: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix, whatever it is written on
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)


def handlers_folder() -> Path:
    """Where the handlers' sources are: beside this file in a wheel, at the root of a source tree otherwise."""
    packaged = Path(__file__).parent / "handlers"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "handlers"
