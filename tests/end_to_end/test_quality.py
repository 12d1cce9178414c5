"""The committed bundle on the committed real images, through the engine, with wide bounds.

The exact figures, on thousands of images, are in model_store/mnist/evaluation.json (`explaind evaluate`); a few hundred
images catch a bundle, a graph or a solver that has gone wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyScoreParameters,
    Detector,
    LatentRankingParameters,
    PathMask,
    PathMaskOutcome,
    PathMaskParameters,
    RankingMethod,
    RankingScope,
)
from explaind.requests import ExplanationRequest, ImageInput, ScoreRequest
from tests.conftest import ROOT, RealImages

DIGITS = 100


@pytest.fixture(scope="module")
def masks(engine: Engine, real_images: RealImages) -> list[PathMask]:
    return [_mask(engine, image) for image in real_images.digits[:DIGITS]]


@pytest.fixture(scope="module")
def judge() -> Iterator[onnxruntime.InferenceSession]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    yield onnxruntime.InferenceSession(ROOT / "tests/data/judge.onnx", options, providers=["CPUExecutionProvider"])


def test_digits_are_read_right(engine: Engine, real_images: RealImages) -> None:
    result = engine.score(_score_request(real_images.digits), Budget())
    classes = np.array([prediction.class_index for prediction in result.predictions])
    assert np.mean(classes == real_images.labels) >= 0.97


def test_no_more_false_alarms_than_the_level_allows(engine: Engine, real_images: RealImages) -> None:
    """Of 300 digits, 15 are expected at 0.05; 27 would be three deviations more."""
    assert _scored(engine, real_images.digits).anomalous.sum() <= 27


@pytest.mark.parametrize("detector", list(Detector))
def test_clothes_are_no_digits(engine: Engine, real_images: RealImages, detector: Detector) -> None:
    scored = _scored(engine, real_images.clothes, detector)
    assert np.mean(scored.p_values <= 0.01) >= 0.98


@pytest.mark.parametrize(
    ("kind", "least"), [("rotated", 0.85), ("half contrast", 0.85), ("noise", 0.99), ("flat", 0.99)]
)
def test_altered_digits_score_higher(engine: Engine, real_images: RealImages, kind: str, least: float) -> None:
    inside = _scored(engine, real_images.digits).scores
    outside = _scored(engine, _altered(real_images.digits, kind)).scores
    assert _auroc(inside, outside) >= least


def test_nearly_every_digit_has_a_morph_and_a_certified_mask(masks: list[PathMask]) -> None:
    certified = [mask for mask in masks if mask.outcome is PathMaskOutcome.CONVERGED]
    assert len(certified) >= 0.96 * DIGITS
    assert max(mask.completeness_gap for mask in certified) <= 0.01
    assert max(mask.stationarity_gap for mask in certified) <= 2e-3
    assert np.median([mask.probability_change for mask in certified]) >= 0.95


def test_another_classifier_sees_the_other_class_in_the_morph(
    masks: list[PathMask], judge: onnxruntime.InferenceSession
) -> None:
    found = [mask for mask in masks if mask.outcome is PathMaskOutcome.CONVERGED]
    (logits,) = judge.run(None, {"images": np.stack([mask.other_image for mask in found])})
    assert np.mean(logits.argmax(axis=1) == [mask.other_class for mask in found]) >= 0.85


def test_the_mask_is_small_and_its_two_colours_meet_the_change(masks: list[PathMask]) -> None:
    """Red where this image is brighter than the other, blue where it is darker: never the reverse."""
    for mask in masks:
        change = (mask.reconstruction - mask.other_image).sum(axis=0)
        assert (mask.attribution * change >= -1e-6).all()
    assert np.median([(mask.mask > 0.5).mean() for mask in masks]) <= 0.4


def test_a_wrong_answer_is_explained_against_the_truth(engine: Engine, real_images: RealImages) -> None:
    predictions = engine.score(_score_request(real_images.digits), Budget()).predictions
    wrong = [i for i, p in enumerate(predictions) if p.class_index != real_images.labels[i]]
    if not wrong:
        pytest.skip("the classifier reads all 300 digits right")
    truths = [(real_images.digits[i], int(real_images.labels[i])) for i in wrong]
    changes = [_mask(engine, image, other_class=truth).probability_change for image, truth in truths]
    assert np.median(changes) >= 0.5


@pytest.mark.parametrize("method", list(RankingMethod))
@pytest.mark.parametrize("scope", list(RankingScope))
def test_every_ranking_answers_with_labelled_latents(
    engine: Engine, real_images: RealImages, method: RankingMethod, scope: RankingScope
) -> None:
    asked = LatentRankingParameters(method=method, scope=scope)
    request = ExplanationRequest(model="mnist", image=_image(real_images.digits[0]), latent_ranking=asked)
    ranking = engine.explain(request, Budget()).latent_ranking
    assert ranking is not None
    importances = [abs(latent.importance) for latent in ranking.latents]
    assert importances == sorted(importances, reverse=True) and importances[0] > 0
    named = [latent for latent in ranking.latents if latent.factor.confidence.value in ("high", "medium")]
    assert len(named) >= 5


def test_the_committed_evaluation_is_of_the_committed_bundle(engine: Engine) -> None:
    evaluation = json.loads((ROOT / "model_store/mnist/evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["bundle_digest"] == engine.describe("mnist").bundle_digest


def test_the_bundle_is_small_and_tells_nothing_of_who_built_it(store: Path) -> None:
    files = [path for path in (store / "mnist/1").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    telling = [b"site-packages", b"/home/", str(Path.home()).encode() + b"/", str(ROOT.parent).encode() + b"/"]
    for path in files:
        content = path.read_bytes()
        assert not any(place in content for place in telling), path.name


def _image(pixels: NDArray[np.uint8]) -> ImageInput:
    return ImageInput(array=pixels[None])


def _mask(engine: Engine, pixels: NDArray[np.uint8], other_class: int | None = None) -> PathMask:
    parameters = PathMaskParameters(other_class=other_class)
    mask = engine.explain(ExplanationRequest(model="mnist", image=_image(pixels), path_mask=parameters), Budget())
    assert mask.path_mask is not None
    return mask.path_mask


def _score_request(pixels: NDArray[np.uint8], detector: Detector = Detector.MAHALANOBIS) -> ScoreRequest:
    images = tuple(_image(one) for one in pixels)
    return ScoreRequest(model="mnist", images=images, parameters=AnomalyScoreParameters(detector=detector))


def _scored(engine: Engine, pixels: NDArray[np.uint8], detector: Detector = Detector.MAHALANOBIS) -> AnomalyBatch:
    batch = engine.score(_score_request(pixels, detector), Budget()).batch
    assert batch is not None
    return batch


def _altered(digits: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    if kind == "rotated":
        return np.ascontiguousarray(np.rot90(digits, axes=(1, 2)))
    if kind == "half contrast":
        return digits // 2
    if kind == "noise":
        return random.integers(0, 256, digits.shape, dtype=np.uint8)
    greys = random.integers(0, 256, (len(digits), 1, 1), dtype=np.uint8)
    return np.broadcast_to(greys, digits.shape).copy()


def _auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Chance that an outlier scores higher than an inlier."""
    return float(np.mean(outside[:, None] > inside[None, :]))
