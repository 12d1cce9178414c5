"""The graphs of the demo bundle, as its files are or rewritten, on one set of inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from explaind.backends import networks as tables
from explaind.backends.onnx_sessions import Session
from tests.demo_store import STORE

BUNDLE = STORE / "mnist/1"
SHAPES = {"codes": (5, 100), "images": (5, 1, 28, 28), "weights": (5, 10)}


def path_of(name: str) -> Path:
    return BUNDLE / name


def weights() -> bytes:
    return path_of(tables.WEIGHTS).read_bytes()


def outputs(name: str, graph: bytes | None = None) -> list[NDArray[np.float32]]:
    """Of five rows; graph: in the file's place."""
    random, path = np.random.default_rng(5), path_of(name)
    names = [value.name for value in onnx.load(path, load_external_data=False).graph.input]
    inputs = [random.random(SHAPES[each], dtype=np.float32) for each in names]
    return Session(path, weights=weights(), threads=1, device="cpu", graph=graph).run(*inputs)
