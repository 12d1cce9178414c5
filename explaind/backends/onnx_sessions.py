"""onnxruntime sessions: which device, how many threads, and onnxruntime's exceptions made ours."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from explaind.backends.devices import Device, cuda_devices, wants_cuda
from explaind.backends.networks import WEIGHTS
from explaind.backends.onnx_runtime import onnxruntime
from explaind.errors import BackendUnavailable, BundleInvalid
from explaind.explanations.models import FloatArray

Providers = list[str | tuple[str, dict[str, Any]]]

_ERRORS_ONLY = 3
_foreign = onnxruntime.capi.onnxruntime_pybind11_state
ONNXRUNTIME_ERRORS: tuple[type[Exception], ...] = tuple(
    value for value in vars(_foreign).values() if isinstance(value, type) and issubclass(value, Exception)
)
_DEVICE_ERRORS = {"EPFail", "DeviceReset"}  # of the machine, not of the file
FOREIGN_ERRORS: tuple[type[Exception], ...] = (*ONNXRUNTIME_ERRORS, RuntimeError, ValueError, MemoryError)

_log = logging.getLogger(__name__)


class Session:
    """One graph. `run` may be called from several threads at once."""

    def __init__(
        self,
        path: Path,
        *,
        weights: bytes,
        threads: int,
        device: Device = "auto",
        graph: bytes | None = None,
        cuda_options: Mapping[str, str] | None = None,
    ) -> None:
        """weights: the content of the file beside it that the graph's external data points into. graph: what to open
        instead of the file's content, where `path` is no more than a name. cuda_options: of onnxruntime's CUDA
        provider, beside the usual ones."""
        self._name = path.name
        self._weights = weights  # onnxruntime may read them as long as the session lives
        # From memory: onnxruntime maps a file, and whoever shortens it while it is served kills this process.
        content = read_graph(path) if graph is None else graph
        with _opening(path):
            options = _options(threads)
            options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
            chosen = providers(device, cuda_options)
            self._session = onnxruntime.InferenceSession(content, options, providers=chosen)
        # Beneath the wrapper, whose checks cost a hundredth of a path mask, and which goes over to another device by
        # itself, telling standard output only.
        self._compiled = getattr(self._session, "_sess", self._session)
        self.device = "CUDA" if self._session.get_providers()[0] == "CUDAExecutionProvider" else "CPU"
        self._inputs = tuple(value.name for value in self._session.get_inputs())
        self._outputs = [value.name for value in self._session.get_outputs()]
        _say_once(self.device)

    def run(self, *arrays: NDArray[Any]) -> list[FloatArray]:
        """The outputs in the graph's order, for inputs in the graph's order, of as many rows each and at most
        `CHUNK_ROWS`. Raises BackendUnavailable."""
        try:
            return self._compute(arrays)
        except FOREIGN_ERRORS as exc:
            raise failed(self._name, exc) from exc

    def _compute(self, arrays: Sequence[NDArray[Any]]) -> list[FloatArray]:
        """Raises what onnxruntime raises."""
        inputs = dict(zip(self._inputs, arrays, strict=True))
        outputs: list[FloatArray] = self._compiled.run(self._outputs, inputs, None)
        return outputs


def failed(graph: str, error: Exception) -> BackendUnavailable:
    """What becomes of onnxruntime's own exceptions, so that the next backend can serve."""
    return BackendUnavailable(
        f"The onnx backend failed in {graph}: {error}. Another backend may serve; see the log.",
        metadata={"backend": "onnx", "graph": graph},
    )


def read_graph(path: Path) -> bytes:
    """Raises BundleInvalid where there is no such file."""
    if not path.is_file():
        raise BundleInvalid(f"{path} is missing: copy the bundle again or build it with `explaind train`.")
    return path.read_bytes()


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except FOREIGN_ERRORS as exc:
        if not isinstance(exc, ONNXRUNTIME_ERRORS) or type(exc).__name__ in _DEVICE_ERRORS:
            raise failed(path.name, exc) from exc
        raise BundleInvalid(
            f"{path}, or the weights beside it, cannot be read by onnxruntime ({exc}): "
            "copy the bundle again or build it with `explaind train`."
        ) from exc


def providers(device: Device = "auto", cuda_options: Mapping[str, str] | None = None) -> Providers:
    """Named explicitly: left to itself, onnxruntime warns at length where CUDA's libraries are missing.

    Raises BackendUnavailable where `cuda` is asked for and is not there.
    """
    if not wants_cuda(device):
        return ["CPUExecutionProvider"]
    if not cuda_devices():
        raise BackendUnavailable("The onnx backend was asked for CUDA and the driver shows no device; use the CPU.")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise BackendUnavailable("This onnxruntime has no CUDA provider; install onnxruntime-gpu or use the CPU.")
    onnxruntime.preload_dlls()
    # TF32 rounds to 10 bits, which the parity gate's 1e-4 would not survive.
    return [("CUDAExecutionProvider", {"use_tf32": "0", **(cuda_options or {})}), "CPUExecutionProvider"]


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    # A spinning thread burns a core between requests that other workers need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


@functools.cache
def _say_once(device: str) -> None:
    _log.info("onnxruntime %s computes on %s", onnxruntime.__version__, device)
