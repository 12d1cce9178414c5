"""Planted causes: independent factors, exact pixels, the same again from the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.errors import DataSetInvalid
from explaind.training.architectures import autoencoder_table, classifier_table
from explaind.training.data_recipe import DataRecipe
from explaind.training.data_sets import DATA_SETS
from explaind.training.datasets import load_splits
from explaind.training.datasets.planted import (
    FACTORS,
    QUESTIONS,
    Scenes,
    changed_pixels,
    counterparts,
    coverage,
    draw_scenes,
    known_pixels,
    planted_parts,
    render,
)
from explaind.training.recipe import load_recipe
from tests.conftest import ROOT


def _scene(x: float = 12.0, y: float = 20.0, scale: float = 5.0, arm: float = 1.0, mark: float = 0.0) -> Scenes:
    return Scenes(*(np.array([value]) for value in (x, y, scale, arm, mark)))


def test_factors_are_independent_of_each_other_and_of_other_questions_labels() -> None:
    scenes = draw_scenes(20_000, 5)
    correlations = np.corrcoef(scenes.factors().T)
    assert np.abs(correlations - np.eye(5)).max() < 0.03  # 4 deviations of chance at this count
    for question in QUESTIONS.values():
        label = scenes.labels(question)
        others = [i for i, name in enumerate(FACTORS) if name != question]
        for factor in scenes.factors()[:, others].T:
            assert abs(np.corrcoef(label, factor)[0, 1]) < 0.03
        assert 0.48 < label.mean() < 0.52


def test_a_square_covers_its_pixels_exactly() -> None:
    (covered,) = coverage(_scene())
    expected = np.zeros((32, 32))
    expected[15:25, 7:17] = 1
    assert np.array_equal(covered, expected)


def test_half_a_pixel_is_half_as_bright() -> None:
    (covered,) = coverage(_scene(x=12.5, y=20.25))
    assert covered[20, 7] == pytest.approx(0.5) and covered[20, 17] == pytest.approx(0.5)
    assert covered[15, 12] == pytest.approx(0.75) and covered[25, 12] == pytest.approx(0.25)
    assert covered.sum() == pytest.approx(100)


def test_a_cross_lacks_the_corners_of_its_square() -> None:
    (covered,) = coverage(_scene(arm=0.4))
    assert covered.sum() == pytest.approx(100 - 4 * 3 * 3)
    assert covered[15:18, 7:10].sum() == 0 and covered[15:25, 10:14].min() == 1 and covered[18:22, 7:17].min() == 1


def test_the_mark_is_as_bright_as_it_says_and_never_under_the_object() -> None:
    image = render(_scene(mark=0.8))[0, 0]
    assert np.all(image[1:9, 1:9] == 204) and image[:10].sum() == 64 * 204
    scenes = draw_scenes(2000, 1)
    assert coverage(scenes)[:, 1:9, 1:9].max() == 0


@pytest.mark.parametrize("question", QUESTIONS.values())
def test_a_counterpart_has_the_other_answer_and_else_the_same_factors(question: str) -> None:
    scenes = draw_scenes(300, 2)
    other = counterparts(scenes, question)
    assert np.array_equal(other.labels(question), 1 - scenes.labels(question))
    changed = np.any(scenes.factors() != other.factors(), axis=0)
    assert [FACTORS[i] for i in np.flatnonzero(changed)] == [question]


def test_known_pixels_hold_all_that_changes_and_the_object() -> None:
    scenes = draw_scenes(200, 3)
    for question in QUESTIONS.values():
        known, changed = known_pixels(scenes, question), changed_pixels(scenes, question)
        assert not np.any(changed & ~known)
        moved = np.abs(render(counterparts(scenes, question)).astype(int) - render(scenes))[:, 0] > 128
        assert not np.any(moved & ~known)
    assert np.all(known_pixels(scenes, "mark").sum(axis=(1, 2)) == 64)
    assert np.all(known_pixels(scenes, "x") >= (coverage(scenes) >= 0.5))


def test_x_is_known_to_lie_where_the_object_stands_on_either_side() -> None:
    (known,) = known_pixels(_scene(x=12.0), "x")
    expected = np.zeros((32, 32), bool)
    expected[15:25, 7:17] = True
    expected[15:25, 13:23] = True  # moved to column 17.5: half pixels at both ends count
    assert np.array_equal(known[:, :22], expected[:, :22]) and known[15:25, 22].all()


def test_the_same_seed_gives_the_same_images_and_the_parts_differ() -> None:
    one, other = planted_parts("planted_x", 80, 7), planted_parts("planted_x", 80, 7)
    assert all(np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
               for a, b in zip(one, other, strict=True))  # fmt: skip
    assert [len(part) for part in one] == [60, 20]
    assert not np.array_equal(one[0].images[:20], one[1].images)
    assert not np.array_equal(one[0].images, planted_parts("planted_x", 80, 8)[0].images)


def test_the_questions_share_their_images_and_differ_in_labels() -> None:
    parts = [planted_parts(name, 200, 1)[0] for name in QUESTIONS]
    assert all(np.array_equal(parts[0].images, part.images) for part in parts)
    assert len({part.labels.tobytes() for part in parts}) == 3


def test_the_parts_of_a_recipe_know_their_images_factors() -> None:
    splits = load_splits(DataRecipe(set="planted_shape", sample=160, validation=20, calibration=10, images=70), Path())
    for part, count in ((splits.train, 70), (splits.validation, 20), (splits.evaluation, 30)):
        assert part.factors is not None and part.factors.shape == (count, len(DATA_SETS["planted_shape"].factors))
        assert np.array_equal(render(Scenes(*part.factors.T)), part.images)


def test_too_few_for_a_test_set_are_refused() -> None:
    with pytest.raises(DataSetInvalid, match="planted_mark of 1 images has no test set; raise sample"):
        planted_parts("planted_mark", 1, 0)


@pytest.mark.parametrize("name", QUESTIONS)
def test_its_recipe_holds_and_names_networks_for_its_images(name: str) -> None:
    recipe = load_recipe(ROOT / "model_store" / name)
    assert recipe.data.set == name and recipe.data.kind.image_shape == (1, 32, 32)
    assert set(recipe.spaces) == {"morphing", "ranking"}


@pytest.mark.parametrize("name", ["planted_classifier", "planted_judge"])
def test_the_classifiers_refuse_other_images(name: str) -> None:
    assert classifier_table(name, (1, 32, 32), len(DATA_SETS["planted_x"].class_names)).classes == 2
    with pytest.raises(ValueError, match="for images 1×32×32, the data set's are 1×28×28"):
        classifier_table(name, (1, 28, 28), 2)


def test_the_autoencoder_refuses_other_images() -> None:
    assert autoencoder_table("planted_dense_vae", (1, 32, 32), 5).latents == 5
    with pytest.raises(ValueError, match="for images 1×32×32, the data set's are 3×32×32"):
        autoencoder_table("planted_dense_vae", (3, 32, 32))
