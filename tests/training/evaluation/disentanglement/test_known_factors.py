"""The factors of evaluation images, read without the images: the same rows as the splits', in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.errors import DataSetInvalid
from explaind.training.data_recipe import DataRecipe
from explaind.training.datasets import load_splits
from explaind.training.evaluation.disentanglement.known_factors import evaluation_factors, factor_names

RECIPE = DataRecipe(set="dsprites", validation=16, calibration=12, sample=150, split_seed=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """3 shapes × 2 scales × 2 orientations × 4 columns × 5 rows; the lit pixel's place tells all five factors."""
    factors = np.stack(np.meshgrid(*map(np.arange, (1, 3, 2, 2, 4, 5)), indexing="ij"), axis=-1).reshape(-1, 6)
    images = np.zeros((len(factors), 64, 64), np.uint8)
    images[
        np.arange(len(factors)), factors[:, 4] * 12 + factors[:, 1], factors[:, 5] * 4 + factors[:, 2:4] @ (2, 1)
    ] = 1
    np.savez(tmp_path / "dsprites.npz", imgs=images, latents_classes=factors)
    return tmp_path


def test_factors_belong_to_the_evaluation_images_row_by_row(folder: Path) -> None:
    factors = evaluation_factors(RECIPE, folder)
    evaluation = load_splits(RECIPE, folder).evaluation
    lit = np.argwhere(evaluation.images[:, 0])
    shape, column, row = lit[:, 1] % 12, lit[:, 1] // 12, lit[:, 2] // 4
    scale, orientation = lit[:, 2] % 4 // 2, lit[:, 2] % 2
    assert np.array_equal(factors, np.stack([shape, scale, orientation, column, row], axis=1))
    assert np.array_equal(factors[:, 0], evaluation.labels)


def test_a_part_of_the_evaluation_images_has_all_shapes(folder: Path) -> None:
    """The archive goes shape by shape; a section that looks at the first images must not see squares alone."""
    labels = load_splits(RECIPE, folder).evaluation.labels
    assert set(labels[: len(labels) // 2].tolist()) == {0, 1, 2}
    again = load_splits(RECIPE, folder).evaluation.labels
    assert np.array_equal(labels, again)


def test_only_known_factors_have_names() -> None:
    assert factor_names("dsprites") == ("shape", "scale", "orientation", "x", "y")
    with pytest.raises(DataSetInvalid, match=r"factors of mnist are not known; choose among dsprites"):
        factor_names("mnist")


def test_a_missing_file_and_a_sample_that_is_too_large_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataSetInvalid, match="dsprites has 240 images: 500 cannot be drawn; lower sample"):
        evaluation_factors(RECIPE.model_copy(update={"sample": 500}), folder)
    with pytest.raises(DataSetInvalid, match=r"dsprites\.npz"):
        evaluation_factors(RECIPE, tmp_path / "elsewhere")


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "dsprites.npz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataSetInvalid, match=r"dsprites\.npz"):
        evaluation_factors(RECIPE, folder)
