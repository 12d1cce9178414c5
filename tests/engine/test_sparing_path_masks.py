"""A path mask of the demo bundle on real digits, which leaves out most images and gradients, against the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.backends import onnx
from explaind.bundles import bundle
from explaind.explanations import path_mask_fast_solver, sparse_path
from explaind.explanations.blur import blur_of
from explaind.explanations.budget import Budget
from explaind.explanations.mask_objective import MaskObjective, MaskState
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_attribution import PathGradient, integrate
from explaind.explanations.path_mask_fast_solver import STATIONARY
from explaind.explanations.path_steps import PathSteps
from explaind.explanations.prediction import predict
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.types import DoubleArray, Morph, MorphReference, PathMaskParameters
from tests.conftest import RealImages

BUNDLE = Path(__file__).parents[2] / "model_store" / "mnist" / "1"
DIGITS = 120


@pytest.fixture(scope="module")
def models() -> MorphingModels:
    opened = onnx.open_bundle(BUNDLE, device="cpu").morphing("morphing")
    assert opened is not None
    return opened


@pytest.fixture(scope="module")
def morphs(models: MorphingModels, real_images: RealImages) -> list[Morph]:
    reference = bundle.load(BUNDLE).reference.morph
    assert reference is not None
    found = [_morph(models, reference, digit) for digit in real_images.digits[:DIGITS]]
    return [each for each in found if each.found]


def _morph(models: MorphingModels, reference: MorphReference, digit: np.ndarray) -> Morph:
    image = np.ascontiguousarray(digit[None], np.float32) / 255
    return morph(models, reference, image, PathMaskParameters(), prediction=predict(models.classifier, image[None])[0])


def test_the_mask_is_that_of_the_whole_path(models: MorphingModels, morphs: list[Morph]) -> None:
    """Every image drawn, a gradient at each of the 99 steps, of the integral and of the certificate: nearly the same
    mask, which is as good there, its J and its gap within 1e-4, and what is said of the path."""
    alike, drawn, gradients = [], [], []
    for ends in morphs:
        path, pair = MorphPath(models, ends, PathMaskParameters().interpolation, Budget()), _pair(ends)
        whole, sparse = path.points(np.linspace(0, 1, 100)), sparse_path.points(path, 100, pair)
        assert sparse.drawn is not None
        drawn.append(np.count_nonzero(sparse.drawn))
        assert np.abs(sparse.probabilities(pair[0]) - whole.probabilities(pair[0])).max() < 1e-5
        assert np.abs(sparse.entropies(*pair) - whole.entropies(*pair)).max() < 1e-4

        found, _, sloped = _solved(models, path, sparse, pair[0], PathSteps.sparing(sparse, pair[0]))
        best, objective, _ = _solved(models, path, whole, pair[0], PathSteps.every(whole, pair[0]))
        gradients.append(sloped)
        there = objective.evaluate(found.mask)
        assert found.objective == pytest.approx(there.objective, abs=1e-4)
        assert found.gap == pytest.approx(there.gap, abs=1.5e-4)
        assert there.objective >= 0.999 * best.objective
        assert there.gap <= STATIONARY
        alike.append(_overlap(found.mask, best.mask))
    assert np.mean(alike) > 0.997
    assert min(alike) > 0.96
    assert np.mean(drawn) < 64
    assert np.mean(gradients) < 22


def _pair(ends: Morph) -> tuple[int, int]:
    return ends.self_class, ends.other_class


def _solved(
    models: MorphingModels, path: MorphPath, points: PathPoints, self_class: int, steps: PathSteps
) -> tuple[MaskState, MaskObjective, int]:
    """And how many gradients the integral began with."""
    gradient = PathGradient(models.classifier_gradient, self_class, points.logits.shape[1], Budget())
    objective = MaskObjective(gradient, models.classifier, steps, self_class, blur_of(28, 28), 1.0)
    attribution = integrate(gradient, path, points, steps, self_class, Budget())
    return path_mask_fast_solver.solve(objective, attribution, Budget()), objective, len(attribution.slopes.values)


def _overlap(first: DoubleArray, second: DoubleArray) -> float:
    """Intersection over union."""
    a, b = first > 0.5, second > 0.5
    return float((a & b).sum() / (a | b).sum())
