"""probe.npz: a few inputs and the answers expected to them, so that a backend proves itself before it serves."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explaind.backends import scorer_parity
from explaind.backends.bundle_models import BundleModels
from explaind.backends.scorer_parity import STATISTICS_TOLERANCE
from explaind.errors import BackendUnavailable, BundleInvalid
from explaind.explanations.models import FloatArray
from explaind.explanations.types import DoubleArray

FILE_NAME = "probe.npz"
TOLERANCE = 1e-4
"""Largest absolute difference from PyTorch (DESIGN §4), fp32 with TF32 off."""


@dataclass(frozen=True, slots=True)
class Questions:
    """images (B, C, H, W); weights (B, K); codes by latent space, each (B, D)."""

    images: FloatArray
    weights: FloatArray
    codes: Mapping[str, FloatArray]

    def take(self, rows: NDArray[np.int64]) -> Questions:
        return Questions(self.images[rows], self.weights[rows], {name: z[rows] for name, z in self.codes.items()})


def questions(models: BundleModels, images: FloatArray, classes: int, seed: int = 0) -> Questions:
    """Codes lie between the images' own and the prior's, where morphs walk; weights are normal. Seeded."""
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal((len(images), classes)).astype(np.float32)
    codes = {}
    for name, autoencoder in models.autoencoders.items():
        mean, _ = autoencoder.encode(images)
        noise = generator.standard_normal(mean.shape)
        codes[name] = (mean + noise * generator.uniform(0, 1, (len(images), 1))).astype(np.float32)
    return Questions(images, weights, codes)


def answers(models: BundleModels, asked: Questions) -> dict[str, FloatArray]:
    """All outputs that the models have, by `<graph>.<output>`."""
    found = {"classifier.logits": models.classifier.logits(asked.images)}
    if models.classifier_gradient is not None:
        gradient, probabilities = models.classifier_gradient.probability_gradient(asked.images, asked.weights)
        found |= {"classifier_gradient.gradient": gradient, "classifier_gradient.probabilities": probabilities}
    for name, autoencoder in models.autoencoders.items():
        mean, deviation = autoencoder.encode(asked.images)
        found |= {f"{name}_encoder.mean": mean, f"{name}_encoder.deviation": deviation}
        found[f"{name}_decoder.images"] = autoencoder.decode(asked.codes[name])
    for name, morph in models.morph_gradients.items():
        gradient, logits = morph.logit_gradient(asked.codes[name], asked.weights)
        found |= {f"{name}_morph_gradient.gradient": gradient, f"{name}_morph_gradient.logits": logits}
    return found


def row_differences(found: FloatArray, expected: FloatArray) -> DoubleArray:
    """Largest absolute difference of each row: (B,); infinite where a value is no number."""
    difference = np.abs(found.astype(np.float64) - expected).reshape(len(found), -1).max(axis=1)
    return np.where(np.isfinite(difference), difference, np.inf)


def worst_by_graph(differences: Mapping[str, DoubleArray]) -> dict[str, float]:
    """differences (B,) by `<graph>.<output>` → the largest of each graph."""
    worst: dict[str, float] = {}
    for key, rows in differences.items():
        graph = key.rpartition(".")[0]
        worst[graph] = max(worst.get(graph, 0.0), float(rows.max()))
    return worst


def write(folder: Path, asked: Questions, expected: Mapping[str, FloatArray]) -> None:
    """Equal content gives equal bytes: NumPy writes its archives without times, in the given order."""
    codes = {f"codes.{name}": array for name, array in asked.codes.items()}
    np.savez(folder / FILE_NAME, images=asked.images, weights=asked.weights, **codes, **expected)  # type: ignore[arg-type]


def verify_probe(models: BundleModels, folder: Path) -> None:
    """Asks the models what probe.npz asks.

    Raises BundleInvalid where the file is missing or malformed, BackendUnavailable where an answer is farther than
    TOLERANCE from PyTorch's, or what a scorer says from what its parts say: a backend that computes something else must
    not serve.
    """
    asked, expected = _read(folder / FILE_NAME)
    try:
        worst = worst_by_graph(
            {key: row_differences(array, expected[key]) for key, array in answers(models, asked).items()}
        )
    except KeyError as exc:
        raise BundleInvalid(f"{folder / FILE_NAME} has no answers for {exc.args[0]}: build the bundle again.") from exc
    for graph, difference in worst.items():
        if not difference <= TOLERANCE:
            raise _wrong(models, graph, folder, f"{difference:.2g} from PyTorch", TOLERANCE, difference)
    for space, (networks, statistics) in scorer_parity.worst_differences(models, asked.images).items():
        for difference, allowed in ((networks, TOLERANCE), (statistics, STATISTICS_TOLERANCE)):
            if not difference <= allowed:
                told = f"{difference:.2g} from its parts"
                raise _wrong(models, f"{space}_scorer", folder, told, allowed, difference)


def _wrong(
    models: BundleModels, graph: str, folder: Path, told: str, allowed: float, difference: float
) -> BackendUnavailable:
    return BackendUnavailable(
        f"The {models.backend} backend computes {graph} of {folder} wrongly: {told}, at most {allowed:g} is allowed. "
        "Use another backend or build the bundle on this machine.",
        metadata={"backend": models.backend, "graph": graph, "difference": f"{difference:.3g}"},
    )


def images_in(folder: Path) -> FloatArray:
    """The bundle's probe images (B, C, H, W). Raises BundleInvalid where they are missing or damaged."""
    return _read(folder / FILE_NAME)[0].images


def _read(path: Path) -> tuple[Questions, dict[str, FloatArray]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays: dict[str, FloatArray] = dict(archive)
        images, weights = arrays.pop("images"), arrays.pop("weights")
    except FileNotFoundError as exc:
        raise BundleInvalid(f"{path} is missing: copy the bundle again or build it with `explaind train`.") from exc
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise BundleInvalid(f"{path} is damaged ({exc}): copy the bundle again or build it anew.") from exc
    codes = {key.removeprefix("codes."): arrays.pop(key) for key in list(arrays) if key.startswith("codes.")}
    return Questions(images, weights, codes), arrays
