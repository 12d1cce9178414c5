from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import matplotlib.image
import numpy as np
import pytest

from explaind.errors import BundleInvalid, ConfigurationError
from explaind.explanations.models import FloatArray
from explaind.explanations.types import Factor, LabelConfidence, RankingReference
from explaind.training.label import ask, draw_traversals


class Brightness:
    """Latent 0 is the brightness of the whole image, the others nothing."""

    def decode(self, codes: FloatArray) -> FloatArray:
        brightness = 1.0 / (1.0 + np.exp(-codes[:, :1]))
        return np.repeat(brightness, 64, axis=1).reshape(-1, 1, 8, 8).astype(np.float32)


@dataclass
class Statistics:
    used: np.ndarray
    mean_kl: np.ndarray


def _reference(*used: bool) -> RankingReference:
    """Only what labelling reads."""
    return cast(RankingReference, Statistics(np.array(used), np.ones(len(used))))


def test_the_picture_has_a_row_a_used_latent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "traversals.png"
    draw_traversals(Brightness(), np.zeros((2, 3), np.float32), _reference(True, False, True), path)
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > 2 * 2 * 8
    assert picture[..., :3].std() > 0.05


def test_nothing_used_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="No latent"):
        draw_traversals(Brightness(), np.zeros((1, 1), np.float32), _reference(False), tmp_path / "x.png")


def test_an_unwritable_picture_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        draw_traversals(Brightness(), np.zeros((1, 1), np.float32), _reference(True), tmp_path / "file" / "x.png")


def test_only_used_latents_are_asked_for_and_an_empty_name_is_none() -> None:
    typed = iter(["slant", "perhaps", "High", "", "width", "m"])
    factors = ask(_reference(True, False, True, True), lambda _: next(typed))
    assert factors == (
        Factor(dimensions=(0,), label="slant", confidence=LabelConfidence.HIGH),
        Factor(dimensions=(3,), label="width", confidence=LabelConfidence.MEDIUM),
    )
