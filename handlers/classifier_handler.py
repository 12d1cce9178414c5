"""TorchServe's entry to a classifier's archive: predict and gradient.

TorchServe imports this file by its basename and wants exactly one class in it; the work is in explaind.backends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from explaind.backends.torchserve_batch import answer_batch, warm
from explaind.backends.torchserve_networks import classifier_operations, prepare_torch


class ClassifierHandler:
    """Built once a worker; `handle` gets the batches that TorchServe puts together."""

    def initialize(self, context: Any) -> None:
        """context: TorchServe's; names the folder of the extracted archive and the worker's GPU, if any."""
        properties = context.system_properties
        device = prepare_torch(context.model_yaml_config or {}, properties.get("gpu_id"))
        self._operations = classifier_operations(Path(properties["model_dir"]), device)
        warm(self._operations)

    def handle(self, data: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes]:
        """data: one `input` map a request → one payload a request (explaind.backends.torchserve_payload)."""
        return answer_batch(data or (), self._operations)
