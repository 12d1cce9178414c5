"""`explaind label`: shows what every used latent does and asks a person for its name (DESIGN §3.1, §5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from explaind.errors import BundleInvalid, ConfigurationError
from explaind.explanations import traversal
from explaind.explanations.models import Decoder
from explaind.explanations.types import Factor, FloatArray, LabelConfidence, RankingReference

_CONFIDENCES = {"h": LabelConfidence.HIGH, "m": LabelConfidence.MEDIUM, "l": LabelConfidence.LOW}


def draw_traversals(
    decoder: Decoder, centers: FloatArray, reference: RankingReference, path: Path, *, title: str = ""
) -> None:
    """One PNG: a row for each used latent (`z3`, its mean KL), and in it, for each of centers (n, D), the latent's
    traversal over [−3, 3] with the others held at that center. Grey images only in their first channel."""
    dimensions = [int(index) for index in np.flatnonzero(reference.used)]
    if not dimensions:
        raise BundleInvalid("No latent of this space is used, so there is nothing to draw; train it longer.")
    rows = [_row(decoder, centers, dimension) for dimension in dimensions]
    gap = np.ones((4, rows[0].shape[1]))
    picture = np.concatenate([part for row in rows for part in (row, gap)])
    names = [f"z{index}  {reference.mean_kl[index]:.2f} nat" for index in dimensions]
    _save(picture, names, len(rows[0]) + len(gap), path, title)


def _row(decoder: Decoder, centers: FloatArray, dimension: int) -> NDArray[np.float64]:
    """(lines of H, S·W): the traversal about every center, one below the other."""
    codes = np.concatenate([traversal.codes(center, [dimension])[0] for center in centers])
    images = decoder.decode(codes)[:, 0].astype(np.float64)
    lines = images.reshape(len(centers), traversal.STEPS, *images.shape[1:])
    return np.concatenate([np.concatenate(list(line), axis=1) for line in lines])


def _save(picture: NDArray[np.float64], names: Sequence[str], pitch: int, path: Path, title: str) -> None:
    height, width = picture.shape
    figure = Figure(figsize=(width / 50 + 1.6, height / 50 + 0.6), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks([pitch * row + pitch // 2 for row in range(len(names))], names)
    step = width / traversal.STEPS
    axes.set_xticks([step * (i + 0.5) for i in range(traversal.STEPS)], [f"{value:.1f}" for value in traversal.VALUES])
    axes.set_title(title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})
    except OSError as exc:
        raise ConfigurationError(f"The picture {path} cannot be written ({exc.strerror}); name another.") from exc


def ask(reference: RankingReference, answer: Callable[[str], str]) -> tuple[Factor, ...]:
    """Asks for a name and a confidence of every used latent; an empty name leaves it `z17`.

    answer: shows a question and returns what was typed.
    """
    asked = (_ask_factor(int(index), answer) for index in np.flatnonzero(reference.used))
    return tuple(factor for factor in asked if factor is not None)


def _ask_factor(index: int, answer: Callable[[str], str]) -> Factor | None:
    name = answer(f"z{index}: what is there more of, the higher it is? (empty: unnamed) ").strip()
    return Factor(dimensions=(index,), label=name, confidence=_ask_confidence(index, answer)) if name else None


def _ask_confidence(index: int, answer: Callable[[str], str]) -> LabelConfidence:
    while True:
        typed = answer(f"z{index}: how sure? high, medium or low ").strip().lower()
        if confidence := _CONFIDENCES.get(typed[:1]):
            return confidence
