"""The smallest bundle that verifies: no graphs, predictions promised, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from explaind.bundles import manifest, reference
from explaind.bundles.manifest import ExplanationName, Manifest
from explaind.explanations.types import Reference


def write(
    store: Path,
    version: str = "1",
    *,
    name: str = "small",
    latents: int = 3,
    seed: int = 0,
    explanations: tuple[ExplanationName, ...] = ("prediction",),
    statistics: Reference | None = None,
) -> Path:
    """Writes <store>/<name>/<version>/ and returns it. seed: another one gives another encoder."""
    folder = store / name / version
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(seed).random((latents, 4), np.float32)
    save_file({"codes.encoder.0.weight": weights}, folder / "weights.safetensors")
    (folder / "networks.json").write_text("{}", encoding="utf-8")
    reference.save(folder / "reference.npz", statistics or Reference(rankings={}, anomaly=None, morph=None))
    describe(folder, name=name, version=version, latents=latents, explanations=explanations)
    return folder


def describe(
    folder: Path,
    *,
    name: str,
    version: str,
    latents: int = 3,
    explanations: tuple[ExplanationName, ...] = ("prediction",),
) -> Manifest:
    return manifest.write(
        folder,
        name=name,
        version=version,
        description="small",
        class_names=("no", "yes"),
        image_shape=(1, 2, 2),
        spaces={"codes": (latents, ["ranking", "morphing"])},
        parity={},
        recipe_digest="0" * 64,
        explanations=explanations,
    )
