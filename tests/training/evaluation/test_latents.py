"""Codes' norms, the latents that are shown, and the figures of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explaind.explanations.types import FloatArray
from explaind.training.evaluation import latents
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject, open_subject
from explaind.training.recipe import load_recipe
from tests.conftest import ROOT
from tests.training.evaluation.conftest import SMALL


class _Wide:
    """400 latents, all at 0, with deviation 2: a sampled code's norm is 2·√400."""

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        zeros = np.zeros((len(images), 400), np.float32)
        return zeros, zeros + 2

    def decode(self, codes: FloatArray) -> FloatArray:
        return codes[:, :1, None, None]


def test_norms_of_means_and_of_samples() -> None:
    images = np.zeros((600, 1, 1, 1), np.float32)
    norms = latents.code_norms(_Wide(), images, np.zeros(600, np.int32), seed=3)
    assert np.all(norms.mean == 0)
    assert norms.sampled.mean() == pytest.approx(40, abs=0.3) and norms.sampled.std() == pytest.approx(2**0.5, abs=0.2)
    again = latents.code_norms(_Wide(), images, np.zeros(600, np.int32), seed=3)
    assert np.array_equal(norms.sampled, again.sampled)


def test_latents_are_shown_by_falling_information(digits_subject: Subject) -> None:
    reference = digits_subject.ranking_reference()
    shown = latents.shown_latents(reference)
    assert sorted(shown) == np.flatnonzero(reference.used).tolist()
    assert np.all(np.diff(reference.mean_kl[shown]) <= 0)


def test_a_traversal_moves_one_latent_and_no_other(digits_subject: Subject) -> None:
    images = latents.traversals(digits_subject.models.autoencoders["ranking"], [1, 9], 12)
    assert images.shape == (2, 10, 1, 28, 28)
    # The latent named «width» is narrow at one end and wide at the other.
    widths = [np.ptp(np.flatnonzero(image[0].max(axis=0) > 0.5)) for image in (images[0, 0], images[0, -1])]
    assert widths[1] >= 2 * widths[0]


def test_latents_that_share_a_label_are_told_apart(digits_bundle: Path, digits_data: Path) -> None:
    path = digits_bundle / "labels.toml"
    text = path.read_text(encoding="utf-8")
    assert "dimensions = [1]" in text and "dimensions = [3]" not in text
    path.write_text(text.replace("dimensions = [1]", "dimensions = [1, 3]"), encoding="utf-8")
    names = open_subject(digits_bundle, digits_data).latent_names("ranking")
    assert names[1] == "width (z1)" and names[3] == "width (z3)" and names[0] == "open top"
    assert len(set(names)) == len(names)


def test_the_section_names_latents_and_draws_every_space(digits_subject: Subject, tmp_path: Path) -> None:
    page = Page(tmp_path, "Latents", level=2)
    figures = latents.SECTION.run(digits_subject, SMALL, page)
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {"latents_kl", "latents_morphing", "latents_ranking", "latents_norms"}
    space = figures["ranking"]
    assert isinstance(space, dict) and next(iter(space["used"])) == "width" and len(space["used"]) == 10
    norms = figures["norms"]
    assert isinstance(norms, dict)
    for values in norms["classes"].values():
        assert values["sampled_mean"] == pytest.approx(values["bundle"], abs=0.8)


def test_a_space_that_was_trained_with_labels_says_so(digits_subject: Subject) -> None:
    assert latents.labels_used(digits_subject, "ranking") == ""
    recipe = load_recipe(ROOT / "model_store/planted_x")
    space = recipe.spaces["ranking"].model_copy(update={"supervised_images": 90, "supervision_weight": 2.0})
    subject = replace(digits_subject, recipe=recipe.model_copy(update={"spaces": {"ranking": space}}))
    text = latents.labels_used(subject, "ranking")
    assert "**trained with labels**" in text and f"90 of its {len(subject.splits.train)} training images" in text
    assert "z0 to x, z1 to y, z2 to scale, z3 to shape, z4 to mark" in text
