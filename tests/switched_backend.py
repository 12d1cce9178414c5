"""The real onnx backend behind a switch: a backend that dies and recovers when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from explaind.backends import onnx
from explaind.backends.bundle_models import BundleModels
from explaind.errors import BackendUnavailable
from explaind.explanations.models import Classifier, FloatArray, Measured, Scorer


@dataclass
class Switch:
    """name: what the backend calls itself. on: whether it answers. opens: whether it can be opened.
    before: called ahead of each classification."""

    name: str = "onnx"
    on: bool = True
    opens: bool = True
    cause: str = "worker_died"
    calls: int = 0
    closed: int = 0
    before: Callable[[], None] = field(default=lambda: None)

    def open_bundle(self, folder: Path) -> BundleModels:
        if not self.opens:
            raise BackendUnavailable(f"{self.name} is not up", metadata={"cause": "unreachable"})
        models = onnx.open_bundle(folder, threads=1, device="cpu")
        return replace(
            models,
            backend=self.name,
            classifier=_Switched(self, models.classifier),
            scorers={space: _SwitchedScorer(self, each) for space, each in models.scorers.items()},
            close=self._close,
        )

    def pass_through(self) -> None:
        """One classification, alone or with the rest of an anomaly score."""
        self.calls += 1
        self.before()
        if not self.on:
            raise BackendUnavailable(f"{self.name} died", metadata={"cause": self.cause})

    def _close(self) -> None:
        self.closed += 1


@dataclass
class _Switched:
    switch: Switch
    classifier: Classifier

    def logits(self, images: FloatArray) -> FloatArray:
        self.switch.pass_through()
        return self.classifier.logits(images)


@dataclass
class _SwitchedScorer:
    switch: Switch
    scorer: Scorer

    def measure(self, images: FloatArray) -> Measured:
        self.switch.pass_through()
        return self.scorer.measure(images)
