"""Captum's integrated gradients of the same classifier, in this process: the mathematics of the only served peer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from captum.attr import IntegratedGradients

from explaind.backends import networks, torch_operations, weights
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.worker import Call, Stage


@contextmanager
def attributing(store: str, steps: Sequence[int], threads: int = 1) -> Iterator[Stage]:
    """Calls: `IG n`, n gradient evaluations in one batch, from a black image, for the predicted class."""
    torch.set_num_threads(threads)
    folder = Path(store) / what.MODEL / "1"
    classifier = torch_operations.open_classifier(networks.read(folder), weights.read(folder)).eval()
    images = torch.from_numpy(what.pixels(what.digits()))
    gradients = IntegratedGradients(classifier)

    def attribute(count: int) -> Call:
        def call(number: int) -> int:
            image = images[number % len(images)][None]
            with torch.inference_mode():
                target = int(classifier(image).argmax())
            gradients.attribute(image, target=target, n_steps=count)
            return 1

        return call

    yield Stage({f"IG {count}": attribute(count) for count in steps})
