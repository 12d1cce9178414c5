"""onnxruntime sessions on a CUDA device: kernels recorded once and replayed, tensors that stay on the device.

An explanation is some thirty small calls, and on a GPU a small call costs what launching its kernels one by one costs:
five rows of a morph's gradient took 0.62 ms so, and 0.20 ms as one recorded launch (H200). A recording is of fixed
shapes at fixed addresses, so each batch size of `ROWS` has its own, and a call takes the next larger one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explaind.backends.arrays import CHUNK_ROWS
from explaind.backends.cuda_thread import cuda_thread
from explaind.backends.devices import Device, wants_cuda
from explaind.backends.onnx_runtime import onnxruntime
from explaind.backends.onnx_sessions import FOREIGN_ERRORS, Session, failed
from explaind.errors import BackendUnavailable, BundleInvalid
from explaind.explanations.models import FloatArray

ROWS = (1, 2, 4, 8, 16, 32, 64, CHUNK_ROWS)
"""Batch sizes that are recorded. More of them: a longer start and more memory on the device; fewer: more rows computed
for nothing, which on a GPU cost next to nothing (100 rows of a classifier 0.07 ms, one row 0.05)."""

_TYPES: dict[str, type[np.floating]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}

_log = logging.getLogger(__name__)


def open_session(
    path: Path, *, weights: bytes, threads: int, device: Device = "auto", graph: bytes | None = None
) -> Session:
    """The graph `path` on `device`; arguments and errors as of `Session`.

    On CUDA recorded where it can be: a graph of which some part has to be computed on the CPU cannot.
    """
    if not wants_cuda(device):
        return Session(path, weights=weights, threads=threads, device=device, graph=graph)
    return cuda_thread().run(lambda: _open_on_device(path, weights, threads, device, graph))


def _open_on_device(path: Path, weights: bytes, threads: int, device: Device, graph: bytes | None) -> Session:
    try:
        return RecordedSession(path, weights=weights, threads=threads, graph=graph)
    except (BackendUnavailable, BundleInvalid) as exc:
        launched = LaunchedSession(path, weights=weights, threads=threads, device=device, graph=graph)
        _log.warning("%s is not recorded, and launched kernel by kernel on %s: %s", path, launched.device, exc)
        return launched


class LaunchedSession(Session):
    """Every kernel launched anew in every call; also what computes on the CPU where CUDA's libraries are missing."""

    def _compute(self, arrays: Sequence[NDArray[Any]]) -> list[FloatArray]:
        compute = super()._compute
        return compute(arrays) if self.device == "CPU" else cuda_thread().run(lambda: compute(arrays))


class RecordedSession(Session):
    """One graph, recorded for each of `ROWS`. `run` may be called from several threads at once."""

    def __init__(self, path: Path, *, weights: bytes, threads: int, graph: bytes | None = None) -> None:
        """In the device's thread. Raises BackendUnavailable where the graph cannot be recorded, BundleInvalid."""
        options = {"enable_cuda_graph": "1"}
        super().__init__(path, weights=weights, threads=threads, device="cuda", graph=graph, cuda_options=options)
        if self.device != "CUDA":
            raise BackendUnavailable("onnxruntime finds no CUDA libraries.")
        try:
            self._recordings = {rows: _Recording(self._session, rows) for rows in ROWS}
        except FOREIGN_ERRORS as exc:
            raise failed(self._name, exc) from exc

    def _compute(self, arrays: Sequence[NDArray[Any]]) -> list[FloatArray]:
        rows = len(arrays[0])
        recording = self._recordings[next(size for size in ROWS if size >= rows)]
        return cuda_thread().run(lambda: recording.replay(arrays))


class _Recording:
    """Of one batch size: where its inputs and outputs lie on the device, and the kernels between them."""

    def __init__(self, session: Any, rows: int) -> None:
        """Raises what onnxruntime raises, ValueError for sizes that are not fixed but for the batch."""
        self._session = session
        self._options = onnxruntime.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(rows))
        self._binding = session.io_binding()
        self._inputs = [_Input(value, rows) for value in session.get_inputs()]
        self._outputs = [_on_device(value, rows) for value in session.get_outputs()]
        for value, place in zip(session.get_inputs(), self._inputs, strict=True):
            self._binding.bind_ortvalue_input(value.name, place.on_device)
        for value, output in zip(session.get_outputs(), self._outputs, strict=True):
            self._binding.bind_ortvalue_output(value.name, output)
        self._launch()  # records

    def replay(self, arrays: Sequence[NDArray[Any]]) -> list[FloatArray]:
        """arrays: of as many rows as this is of, or fewer. What computes the missing ones is what was there before."""
        rows = len(arrays[0])
        for place, array in zip(self._inputs, arrays, strict=True):
            place.fill(array)
        self._launch()
        return [np.asarray(output.numpy()[:rows]) for output in self._outputs]

    def _launch(self) -> None:
        self._session.run_with_iobinding(self._binding, self._options)


class _Input:
    """One input's place on the device, and the same on the host, from which it is filled in one copy."""

    def __init__(self, value: Any, rows: int) -> None:
        self._on_host = np.zeros(_shape(value, rows), _dtype(value))
        self.on_device = onnxruntime.OrtValue.ortvalue_from_numpy(self._on_host, "cuda", 0)

    def fill(self, array: NDArray[Any]) -> None:
        if len(array) == len(self._on_host):
            self.on_device.update_inplace(np.ascontiguousarray(array, dtype=self._on_host.dtype))
            return
        self._on_host[: len(array)] = array
        self.on_device.update_inplace(self._on_host)


def _on_device(value: Any, rows: int) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(_shape(value, rows), _dtype(value), "cuda", 0)


def _shape(value: Any, rows: int) -> list[int]:
    """Of an input or output of a graph with a batch of `rows`."""
    _, *sizes = value.shape
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"{value.name} is {value.shape}: only the batch may vary.")
    return [rows, *sizes]


def _dtype(value: Any) -> type[np.floating]:
    if value.type not in _TYPES:
        raise ValueError(f"{value.name} is a {value.type}, of which nothing is recorded.")
    return _TYPES[value.type]
