"""Texture, and what a loss alone makes of smooth images."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.types import FloatArray
from explaind.training.evaluation.anomaly.fitting_in import Window, window_of
from explaind.training.evaluation.anomaly.scored import scored
from explaind.training.evaluation.anomaly.texture import (
    MSE,
    passing,
    spread_over,
    summary,
    textured,
    total_variation,
)
from explaind.training.evaluation.subject import Subject

WHOLE = Window(0, 28, 0, 28)


def _stripes(width: int, height: float = 1.0) -> FloatArray:
    """Columns of `width` pixels, black and bright in turn."""
    columns = (np.arange(28) // width % 2).astype(np.float32) * np.float32(height)
    return np.broadcast_to(columns, (1, 1, 28, 28)).copy()


def test_texture_grows_with_edges_and_contrast() -> None:
    flat, wide, fine, faint = _stripes(28), _stripes(7), _stripes(1), _stripes(1, 0.5)
    assert total_variation(flat, WHOLE) == 0
    assert total_variation(wide, WHOLE) == pytest.approx(3 / 27)
    assert total_variation(fine, WHOLE) == pytest.approx(1)
    assert total_variation(faint, WHOLE) == pytest.approx(0.5)


def test_a_border_is_no_texture() -> None:
    framed = np.zeros((1, 1, 28, 28), np.float32)
    framed[..., 6:20, 5:19] = 0.7
    assert total_variation(framed, window_of(framed)) == 0
    assert total_variation(framed, WHOLE) > 0


def test_by_quarters_of_texture(digits_subject: Subject) -> None:
    """Real digits against stripes from fine to wide. Whatever is measured, the parts must add up."""
    digits = digits_subject.images
    stripes = np.concatenate([_stripes(width, height) for width in (1, 2, 4, 7, 14) for height in (0.3, 0.6, 0.8, 1.0)])
    own, strange = scored(digits_subject, digits), scored(digits_subject, stripes)
    inside, outside = textured(own, WHOLE, own), textured(strange, WHOLE, own)
    assert [int(np.sum(outside.quarter == quarter)) for quarter in range(4)] == [5, 5, 5, 5]
    assert outside.texture[outside.quarter == 0].max() <= outside.texture[outside.quarter == 3].min()
    figures = summary(inside, outside, 0.05)
    rows = figures["outside"]
    assert isinstance(rows, list)
    flagged = np.mean([row[f"flagged_{MSE}"] for row in rows])
    assert flagged == pytest.approx(np.mean(outside.p_values[MSE] <= 0.05))
    assert passing(outside, MSE, 0.05) == pytest.approx(1 - rows[0][f"flagged_{MSE}"])
    correlation = figures["mse_correlation"]
    assert isinstance(correlation, dict)
    assert correlation["inside"] > 0  # digits of more strokes are worse rebuilt


def test_images_shown_go_evenly_through_a_quarter(digits_subject: Subject) -> None:
    own = scored(digits_subject, digits_subject.images)
    inside = textured(own, WHOLE, own)
    chosen = spread_over(inside, 3, 6)
    assert len(set(chosen.tolist())) == 6
    assert (inside.quarter[chosen] == 3).all()
    assert (np.diff(inside.texture[chosen]) >= 0).all()
    assert inside.texture[chosen[-1]] == inside.texture.max()
