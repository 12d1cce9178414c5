"""The parameters beside a networks.json: in a bundle, or in an archive that TorchServe has extracted."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file

from explaind.backends.networks import WEIGHTS
from explaind.errors import BundleInvalid
from explaind.explanations.models import FloatArray


def read(folder: Path) -> dict[str, FloatArray]:
    """Arrays by name, as `classifier.0.weight`. Raises BundleInvalid where the file is missing or damaged."""
    path = folder / WEIGHTS
    try:
        weights: dict[str, FloatArray] = load_file(path)
    except (OSError, SafetensorError) as exc:
        raise BundleInvalid(
            f"{path} is missing or damaged ({exc}): copy the bundle again or build it with `explaind train`."
        ) from exc
    return weights
