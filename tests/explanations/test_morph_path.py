"""Points of a path, its ends as the morph knows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_path import MorphPath
from explaind.explanations.prediction import predict
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.types import Interpolation, Morph, PathMaskParameters
from tests.explanations.morphing_models import REFERENCE, Decoder, image_of, template_models
from tests.explanations.paths import ends


class _Counting(Decoder):
    decoded = 0

    def decode(self, codes: np.ndarray) -> np.ndarray:
        self.decoded += len(codes)
        return super().decode(codes)


def _morph(models: MorphingModels) -> Morph:
    image = image_of(0)
    prediction = predict(models.classifier, image[None])[0]
    return morph(models, REFERENCE, image, PathMaskParameters(), prediction=prediction)


def _path(models: MorphingModels, found: Morph) -> MorphPath:
    return MorphPath(models, found, Interpolation.SLERP, Budget())


def test_the_ends_are_not_decoded_again() -> None:
    counting = _Counting()
    models = replace(template_models(), autoencoder=counting)
    path, positions = _path(models, _morph(models)), np.linspace(0, 1, 20)
    counting.decoded = 0
    whole = path.whole(positions)
    assert counting.decoded == 18
    again = path.points(positions)
    np.testing.assert_allclose(whole.images, again.images, atol=1e-6)
    np.testing.assert_allclose(whole.logits, again.logits, atol=1e-4)
    np.testing.assert_array_equal(whole.positions, positions)


@pytest.mark.parametrize("count", [1, 2])
def test_a_path_without_anything_between_its_ends_is_drawn(count: int) -> None:
    models = template_models()
    assert len(_path(models, _morph(models)).whole(np.linspace(0, 1, count)).images) == count


def test_ends_that_nobody_has_decoded_are_decoded() -> None:
    models = replace(template_models(), autoencoder=(counting := _Counting()))
    found = _morph(models)
    path = _path(models, ends(found.z_other, found.z_self))
    counting.decoded = 0
    path.whole(np.linspace(0, 1, 20))
    assert counting.decoded == 20
