"""A second, independently trained classifier: does it see in a morph what the first one sees?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explaind.errors import BundleInvalid
from explaind.explanations.types import FloatArray
from explaind.training.trained import load_trained

_CHUNK = 1024


class Judge:
    def __init__(self, run: Path) -> None:
        """run: the training run that holds the judge. Raises BundleInvalid where there is none."""
        judge = load_trained(run).judge
        if judge is None:
            raise BundleInvalid(f"{run} has no judge; name one in the recipe and run `explaind train`.")
        self._network = judge

    def classes(self, images: FloatArray) -> NDArray[np.int64]:
        """images (B, C, H, W) → classes (B,)."""
        import torch

        with torch.inference_mode():
            chunks = [torch.from_numpy(images[i : i + _CHUNK]) for i in range(0, len(images), _CHUNK)]
            return np.concatenate([self._network(chunk).argmax(dim=1).numpy() for chunk in chunks])
