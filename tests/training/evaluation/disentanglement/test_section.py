"""The section on a bundle of sprites, trained for one epoch on a small file of dSprites' format."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from explaind.errors import DataSetInvalid
from explaind.training.build import build
from explaind.training.evaluation.disentanglement.section import SECTION
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject, open_subject
from explaind.training.recipe import load_recipe
from tests.conftest import ROOT
from tests.training.evaluation.conftest import SMALL

RECIPE = """
name = "bars"
[data]
set = "dsprites"
sample = 1600
validation = 60
calibration = 60
[classifier]
architecture = "sprites_classifier"
epochs = 1
[spaces.codes]
architecture = "small_sprites_vae"
roles = ["morphing", "ranking"]
latents = 4
epochs = 2
[reference]
minimum_kl = 0.0
minimum_visible_effect = 0.0
images = 200
forest_images = 200
sobol_samples = 16
forest_trees = [2]
served_trees = 2
"""


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("sprites")
    factors = np.stack(np.meshgrid(*map(np.arange, (1, 3, 2, 2, 12, 12)), indexing="ij"), axis=-1).reshape(-1, 6)
    pictures = np.zeros((len(factors), 64, 64), np.uint8)
    for picture, (_, shape, scale, turned, x, y) in zip(pictures, factors, strict=True):
        height, width = (2 + shape, 5 + 6 * scale)[:: -1 if turned else 1]
        picture[4 * y : 4 * y + height, 4 * x : 4 * x + width] = 1
    np.savez(folder / "dsprites.npz", imgs=pictures, latents_classes=factors)
    bundle = folder / "bars"
    bundle.mkdir()
    (bundle / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    build(bundle, data=folder, runs=folder / "runs")
    return open_subject(bundle, folder, folder / "runs")


def test_every_space_is_scored_and_drawn(subject: Subject, tmp_path: Path) -> None:
    assert SECTION.excuse(subject) is None
    page = Page(tmp_path, SECTION.title, level=2)
    figures = SECTION.run(subject, SMALL, page)
    assert figures["images"] == 260
    assert figures["factors"] == ["shape", "scale", "orientation", "x", "y"]
    spaces = figures["spaces"]
    assert isinstance(spaces, dict)
    found = spaces["codes"]
    assert 0 <= found["mig"] <= 1
    assert np.shape(found["information"]) == (4, 5)
    assert (tmp_path / "disentanglement_codes.png").stat().st_size < 250_000
    assert "On 260 unseen images" in page.markdown()


def test_factors_of_other_images_are_refused(subject: Subject, tmp_path: Path) -> None:
    """As when the file has been replaced since the images were read."""
    splits = subject.splits
    turned = dataclasses.replace(splits.evaluation, labels=splits.evaluation.labels[::-1].copy())
    other = dataclasses.replace(subject, splits=dataclasses.replace(splits, evaluation=turned))
    with pytest.raises(DataSetInvalid, match="do not belong to the images"):
        SECTION.run(other, SMALL, Page(tmp_path, SECTION.title, level=2))


def test_digits_have_no_known_factors(digits_subject: Subject) -> None:
    excuse = SECTION.excuse(digits_subject)
    assert excuse is not None
    assert "images of mnist" in excuse


def test_planted_factors_are_not_said_to_be_unknown(digits_subject: Subject) -> None:
    subject = dataclasses.replace(digits_subject, recipe=load_recipe(ROOT / "model_store/planted_x"))
    excuse = SECTION.excuse(subject)
    assert excuse is not None and "planted_x's images are known" in excuse
