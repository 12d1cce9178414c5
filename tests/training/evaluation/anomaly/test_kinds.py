"""Kinds of outlier for the committed bundle: real ones from the data folder, made ones from its own digits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from explaind.errors import DataSetInvalid
from explaind.training.data_recipe import DataRecipe
from explaind.training.evaluation.anomaly.kinds import Kind, outlier_kinds
from explaind.training.evaluation.subject import Subject

MADE = ["noise", "flat", "blurred", "rotated_90", "half_contrast"]


def _by_name(subject: Subject) -> dict[str, Kind]:
    return {kind.name: kind for kind in outlier_kinds(subject, subject.images).kinds}


def test_real_kinds_come_first_and_a_missing_file_is_said(digits_subject: Subject) -> None:
    found = outlier_kinds(digits_subject, digits_subject.images)
    assert [kind.name for kind in found.kinds] == ["fashion_mnist", *MADE]
    assert found.skipped == ("letters", "cifar10")
    assert [kind.real for kind in found.kinds] == [True] + [False] * 5


def test_every_kind_is_as_the_bundle_takes_images(digits_subject: Subject) -> None:
    for name, kind in _by_name(digits_subject).items():
        assert kind.images.dtype == np.float32, name
        assert kind.images.shape[1:] == (1, 28, 28), name
        assert kind.images.min() >= 0, name
        assert kind.images.max() <= 1, name


def test_another_set_gives_its_test_part_only(digits_subject: Subject) -> None:
    with np.load(digits_subject.data / "fashion_mnist.npz") as archive:
        test = {image.tobytes() for image in archive["x_test"]}
    images = np.rint(_by_name(digits_subject)["fashion_mnist"].images[:, 0] * 255).astype(np.uint8)
    assert {image.tobytes() for image in images} == test


def test_made_kinds_are_of_the_images_given(digits_subject: Subject) -> None:
    kinds, inside = _by_name(digits_subject), digits_subject.images
    assert np.array_equal(kinds["half_contrast"].images, inside / 2)
    assert np.array_equal(np.rot90(kinds["rotated_90"].images, 3, axes=(2, 3)), inside)
    assert kinds["blurred"].images.max() < inside.max()
    assert np.ptp(kinds["noise"].images, axis=(2, 3)).min() > 0.9


def test_a_colour_of_letters_and_photographs(digits_subject: Subject, tmp_path: Path) -> None:
    """A set of another shape is made grey and resized; letters are of the families no detector is fitted on."""
    generator = np.random.default_rng(5)
    colors = generator.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    y = np.arange(20) % 10
    np.savez(tmp_path / "cifar10_24k.npz", x_train=colors[:20], y_train=y, x_test=colors[20:], y_test=y)
    letters = generator.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "letters.npz", x=letters, y=np.arange(60) % 10, family=np.arange(60) // 5)
    found = outlier_kinds(dataclasses.replace(digits_subject, data=tmp_path), digits_subject.images)
    kinds = {kind.name: kind for kind in found.kinds}
    assert kinds["cifar10"].title == "CIFAR-10 (grey, resized)"
    assert kinds["cifar10"].images.shape == (20, 1, 28, 28)
    assert kinds["letters"].images.shape == (30, 1, 28, 28)
    assert found.skipped == ("fashion_mnist",)


def test_a_bundles_own_set_is_no_outlier(digits_subject: Subject) -> None:
    own = digits_subject.recipe.model_copy(update={"data": DataRecipe(set="fashion_mnist")})
    found = outlier_kinds(dataclasses.replace(digits_subject, recipe=own), digits_subject.images)
    assert [kind.name for kind in found.kinds if kind.real] == ["mnist"]


def test_images_that_are_not_square_are_turned_upside_down(digits_subject: Subject) -> None:
    tall = np.repeat(digits_subject.images[:4], 2, axis=2)
    kinds = {kind.name: kind for kind in outlier_kinds(digits_subject, tall).kinds}
    assert np.array_equal(kinds["rotated_180"].images, tall[:, :, ::-1, ::-1])
    assert kinds["fashion_mnist"].images.shape[1:] == (1, 56, 28)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_damaged_file_is_an_error_and_no_excuse(digits_subject: Subject, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fashion_mnist.npz").write_bytes(content)
    with pytest.raises(DataSetInvalid, match="is damaged"):
        outlier_kinds(dataclasses.replace(digits_subject, data=tmp_path), digits_subject.images)
