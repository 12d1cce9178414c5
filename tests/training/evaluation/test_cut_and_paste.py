"""Swapped regions: where the control goes, and whose answer follows what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.training.datasets.pedestrians import torso
from explaind.training.evaluation.cut_and_paste import section, swap_figures
from explaind.training.evaluation.cut_and_paste.swaps import Swap, ask, moved_region, nearest
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject
from tests.training.evaluation.conftest import SMALL


class _TopLeft:
    """Two classes, decided by the mean of the upper left quarter alone."""

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        half = images.shape[2] // 2
        bright = images[:, :, :half, :half].mean(axis=(1, 2, 3)) - 0.5
        return np.stack([-20 * bright, 20 * bright], axis=1).astype(np.float32)


def _swap(channels: int = 1) -> Swap:
    dark, bright = np.zeros((channels, 8, 8), np.float32), np.ones((channels, 8, 8), np.float32)
    region, control = np.zeros((8, 8), np.bool_), np.zeros((8, 8), np.bool_)
    region[:4, :4], control[4:, 4:] = True, True
    return Swap(images=(dark, bright), classes=(0, 1), region=region, control=control)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_answer_goes_with_the_region_that_decides(channels: int) -> None:
    swaps = [_swap(channels)] * 2
    region, control = (ask(_TopLeft(), swaps, control=c) for c in (False, True))
    assert region.followed.all() and not region.kept.any()
    assert control.kept.all() and not control.followed.any()
    assert np.allclose(region.moved, 1, atol=1e-3)
    assert np.allclose(control.moved, 0, atol=1e-3)


def test_swapping_twice_is_no_swap() -> None:
    swap = _swap()
    once = swap.pasted(swap.region)
    again = replace(swap, images=(once[0], once[1])).pasted(swap.region)
    assert np.array_equal(again, np.stack(swap.images))


def test_the_control_has_the_shape_elsewhere_where_the_images_differ_most() -> None:
    region = np.zeros((12, 10), np.bool_)
    region[1:4, 1:3] = True
    apart = np.zeros((12, 10))
    apart[1:4, 1:3] = 9.0  # the region itself, which is not allowed
    apart[6:9, 5:7] = 1.0
    control = moved_region(region, apart)
    expected = np.zeros_like(region)
    expected[6:9, 5:7] = True
    assert np.array_equal(control, expected)


def test_a_region_that_cannot_get_out_of_its_way_shares_the_least() -> None:
    region = np.ones((6, 6), np.bool_)
    region[0] = False
    control = moved_region(region, np.ones((6, 6)))
    assert control.sum() == region.sum()
    assert (control & region).sum() == 24


def test_the_nearest_partner() -> None:
    candidates = np.stack([np.full((1, 4, 4), value, np.float32) for value in (0.9, 0.4, 0.0)])
    assert nearest(np.full((1, 4, 4), 0.5, np.float32), candidates) == 1


def test_the_torso_is_where_the_label_comes_from() -> None:
    region = torso()
    assert region.shape == (128, 64)
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (40, 66, 25, 38)


def test_a_gallery_of_colour_images_that_are_not_square() -> None:
    dark, bright = np.zeros((3, 16, 8), np.float32), np.ones((3, 16, 8), np.float32)
    region = np.zeros((16, 8), np.bool_)
    region[:8, :4] = True
    swap = Swap(images=(dark, bright), classes=(0, 1), region=region, control=region[::-1, ::-1])
    moved, kept = (ask(_TopLeft(), [swap], control=c) for c in (False, True))
    figure = swap_figures.gallery([swap], moved, kept, ("dark torso", "bright torso"))
    assert figure.get_size_inches()[0] * figure.dpi <= 1200


def test_the_section_on_real_digits(digits_subject: Subject, tmp_path: Path) -> None:
    page = Page(tmp_path, section.SECTION.title)
    figures = section.SECTION.run(digits_subject, SMALL, page)
    mask = figures["mask"]
    assert isinstance(mask, dict) and mask["swaps"] == SMALL.images
    region, control = mask["region"], mask["control"]
    assert region["area"] == pytest.approx(control["area"])
    assert region["followed"] > control["followed"]
    assert (tmp_path / "cut_and_paste_mask.png").is_file()
