"""What a foreign classifier does with a few of the images at hand, before hours are spent on it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from explaind.errors import ClassifierInvalid
from explaind.explanations.models import FloatArray
from explaind.training.foreign.preparation import Preparation, PreparedClassifier
from explaind.training.foreign.program import Program

LEAST_IMAGES = 8
_ALIKE = 1e-3  # of the outputs' spread: an image alone and in company, which sums in another order may tell apart a bit


@dataclass(frozen=True, slots=True)
class Behaviour:
    """preparation: with the kind of outputs that was seen. seconds: for one image, in a batch, on one thread."""

    preparation: Preparation
    seconds: float


@torch.no_grad()
def examine(program: Program, preparation: Preparation, images: FloatArray, class_names: tuple[str, ...]) -> Behaviour:
    """images: real ones (n ≥ 8, *image_shape) in [0, 1].

    Raises ClassifierInvalid: fails on such images, outputs that are no (B, K) table, another number of classes,
    values that are no numbers, answers that depend on the other images of a batch.
    """
    network = PreparedClassifier(program.network, preparation)
    tensor = torch.from_numpy(np.ascontiguousarray(images[:LEAST_IMAGES]))
    outputs = _run(network, tensor, preparation)
    if outputs.ndim != 2 or len(outputs) != len(tensor):
        raise ClassifierInvalid(
            f"The classifier gives {tuple(outputs.shape)} for {len(tensor)} images, not (images, classes): export it "
            "with one row of logits an image."
        )
    _require_classes(outputs.shape[1], class_names)
    if not np.isfinite(outputs).all():
        raise ClassifierInvalid(
            "The classifier gives NaN or infinity for images in [0, 1]: check its weights, and --mean and --deviation."
        )
    _require_independence(network, tensor, outputs, preparation)
    began = time.perf_counter()
    _run(network, tensor, preparation)
    seconds = (time.perf_counter() - began) / len(tensor)
    seen = replace(preparation, outputs="probabilities") if _are_probabilities(outputs) else preparation
    return Behaviour(seen, seconds)


def _run(network: PreparedClassifier, images: torch.Tensor, preparation: Preparation) -> FloatArray:
    try:
        outputs = network(images)
    except Exception as exc:  # whatever a foreign program raises
        first = (str(exc).strip() or type(exc).__name__).splitlines()[0][:300]
        shape = "×".join(map(str, preparation.input_shape))
        raise ClassifierInvalid(
            f"The classifier fails on {len(images)} images of {shape} ({first}): name the size it takes with "
            "--input-size, and export it with a dynamic batch."
        ) from exc
    if not isinstance(outputs, torch.Tensor) or outputs.dtype != torch.float32:
        found = outputs.dtype if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ClassifierInvalid(f"The classifier gives {found}, not float32 logits: export it to give one such tensor.")
    result: FloatArray = outputs.numpy()
    return result


def _require_classes(count: int, names: tuple[str, ...]) -> None:
    if count == len(names):
        return
    if count == 1:
        raise ClassifierInvalid(
            "The classifier has a single output; export it with one a class, for instance torch.cat([-x, x], 1) / 2."
        )
    raise ClassifierInvalid(
        f"The classifier has {count} outputs, there are {len(names)} classes ({', '.join(names[:8])}"
        f"{' …' if len(names) > 8 else ''}): give --images one folder for each output, in the order of --classes."
    )


def _require_independence(
    network: PreparedClassifier, images: torch.Tensor, together: FloatArray, preparation: Preparation
) -> None:
    alone = np.concatenate([_run(network, images[row : row + 1], preparation) for row in range(len(images))])
    difference, spread = float(np.abs(alone - together).max()), float(np.ptp(together))
    if difference > _ALIKE * max(spread, 1.0):
        raise ClassifierInvalid(
            f"The classifier answers differently for an image alone and in a batch (by {difference:.3g}): it was "
            "exported in training mode or with its batch fixed. Call .eval() and export it again."
        )


def _are_probabilities(outputs: FloatArray) -> bool:
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-3))
