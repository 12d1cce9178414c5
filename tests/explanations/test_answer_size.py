"""What one answer cannot hold is refused before it is computed."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.errors import ParameterOutOfRange
from explaind.explanations.answer_size import check_path, check_traversals
from explaind.explanations.types import Factor, LatentRankingParameters, PathMaskParameters

PICTURE = (3, 224, 224)
"""104 of them fit."""


@pytest.mark.parametrize(("shape", "most"), [(PICTURE, 104), ((3, 64, 64), 1000)])
def test_a_path_that_no_answer_can_hold(shape: tuple[int, ...], most: int) -> None:
    assert check_path(PathMaskParameters(include_path=True, step_count=most), shape) == most
    assert check_path(PathMaskParameters(include_path=False, step_count=1000), shape) == 0
    if most < 1000:
        with pytest.raises(ParameterOutOfRange, match=f"one answer holds {most} images") as caught:
            check_path(PathMaskParameters(include_path=True, step_count=most + 1), shape)
        assert caught.value.field == "path_mask.step_count"


@pytest.mark.parametrize(
    ("top_k", "latents", "others", "most"),
    [(0, 10, 0, 10), (0, 11, 0, 10), (11, 32, 0, 10), (10, 32, 0, 10), (0, 2, 90, 1), (1, 32, 100, 0), (-1, 32, 0, 10)],
)
def test_traversals_that_no_answer_can_hold(top_k: int, latents: int, others: int, most: int) -> None:
    factors = tuple(Factor(dimensions=(n,), label=f"z{n}") for n in range(40))
    used = np.arange(40) < latents
    asked = LatentRankingParameters(include_traversals=True, top_k=top_k)
    if (top_k or latents) <= most:
        check_traversals(asked, factors, used, PICTURE, others=others)
        return
    with pytest.raises(ParameterOutOfRange, match=f"one answer holds {most} of this model") as caught:
        check_traversals(asked, factors, used, PICTURE, others=others)
    assert caught.value.field == "latent_ranking.top_k"
    check_traversals(LatentRankingParameters(top_k=top_k), factors, used, PICTURE, others=others)


def test_a_factor_of_several_latents_is_one_strip() -> None:
    together = (Factor(dimensions=tuple(range(40)), label="everything"),)
    asked = LatentRankingParameters(include_traversals=True)
    check_traversals(asked, together, np.ones(40, bool), PICTURE, others=90)
