"""The engine over the real demo bundle: its answers."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explaind.bundles import manifest
from explaind.engine import Engine
from explaind.errors import ImageUndecodable, ModelNotFound, ShapeMismatch
from explaind.explanations import tree_shap
from explaind.explanations.budget import Budget
from explaind.explanations.types import (
    AnomalyScoreParameters,
    Detector,
    LatentRankingParameters,
    PathMaskOutcome,
    PathMaskParameters,
    RankingMethod,
    RankingScope,
    Solver,
)
from explaind.requests import CostClass, ExplanationRequest, ImageInput, ScoreRequest
from explaind.service import convert
from tests.conftest import RealImages
from tests.engine.batching.stand_ins import occupied
from tests.switched_backend import Switch

RANKING, SCORE, MASK = LatentRankingParameters(), AnomalyScoreParameters(), PathMaskParameters()


def _image(pixels: np.ndarray) -> ImageInput:
    return ImageInput(array=pixels[np.newaxis])


def _sample(engine: Engine, name: str, **labels: str) -> float:
    return engine.metrics.registry.get_sample_value(name, labels) or 0.0


def test_an_error_map_is_made_where_it_is_asked_for(engine: Engine, digit: ImageInput) -> None:
    asked = ExplanationRequest(
        model="mnist",
        image=digit,
        anomaly_score=AnomalyScoreParameters(include_error_map=True, include_reconstruction=True),
    )
    anomaly = engine.explain(asked, Budget()).anomaly
    assert anomaly is not None
    assert anomaly.error_maps.shape == (1, 28, 28)
    assert anomaly.error_maps.mean() == pytest.approx(anomaly.losses.mse[0], rel=1e-5)
    told = convert.explanation_to_proto(engine.explain(asked, Budget()), anomaly=asked.anomaly_score)
    assert told.anomaly_score.error_map.shape == [28, 28]
    without = engine.explain(dataclasses.replace(asked, anomaly_score=SCORE), Budget()).anomaly
    assert without is not None
    assert without.error_maps.shape == (0, 28, 28)


def test_a_digit_explained_whole(engine: Engine, digit: ImageInput, real_images: RealImages) -> None:
    request = ExplanationRequest(
        model="mnist", image=digit, latent_ranking=RANKING, anomaly_score=SCORE, path_mask=MASK
    )
    before = _sample(
        engine, "explaind_explanation_seconds_count", explanation="path_mask", model="mnist", backend="onnx"
    )
    answer = engine.explain(request, Budget())
    assert answer.class_names[answer.prediction.class_index] == str(real_images.labels[0])
    assert answer.latent_ranking is not None
    assert answer.latent_ranking.latent_space == "ranking"
    assert answer.anomaly is not None
    assert answer.anomaly.p_values.shape == (1,)
    assert answer.path_mask is not None
    assert answer.path_mask.outcome is PathMaskOutcome.CONVERGED
    stages = [(timing.stage, timing.backend) for timing in answer.timings]
    assert stages == [
        ("decode", ""), ("anomaly_score", "onnx"), ("predict", "onnx"), ("latent_ranking", "onnx"),
        ("path_mask", "onnx"),
    ]  # fmt: skip
    after = _sample(
        engine, "explaind_explanation_seconds_count", explanation="path_mask", model="mnist", backend="onnx"
    )
    assert after == before + 1


def test_provenance_names_bundle_pixels_and_seed(engine: Engine, store: Path, real_images: RealImages) -> None:
    pixels = real_images.digits[1]
    request = ExplanationRequest(
        model="mnist", image=_image(pixels), path_mask=PathMaskParameters(seed=7, step_count=10)
    )
    answer = engine.explain(request, Budget())
    floats = pixels.astype("<f4") / np.float32(255)
    assert answer.image_digest == hashlib.sha256(floats.tobytes()).hexdigest()
    assert answer.bundle_digest == manifest.digest(store / "mnist/1")
    assert answer.seed == 7
    served = _sample(engine, "explaind_model_info", model="mnist", version="1", digest=answer.bundle_digest)
    assert served == 1


def test_the_same_digit_as_file_and_as_array_is_the_same_to_the_model(engine: Engine, real_images: RealImages) -> None:
    stream = io.BytesIO()
    Image.fromarray(real_images.digits[2]).save(stream, "PNG")
    images = (ImageInput(encoded=stream.getvalue()), _image(real_images.digits[2]))
    answers = [engine.explain(ExplanationRequest(model="mnist", image=image), Budget()) for image in images]
    assert answers[0].image_digest == answers[1].image_digest
    assert answers[0].latent_ranking is answers[0].anomaly is answers[0].path_mask is None


def test_digits_are_recognised_and_clothes_are_strange(engine: Engine, real_images: RealImages) -> None:
    images = tuple(map(_image, [*real_images.digits, *real_images.clothes]))
    result = engine.score(ScoreRequest(model="mnist", images=images), Budget())
    right = [p.class_index == label for p, label in zip(result.predictions, real_images.labels, strict=False)]
    assert np.mean(right) >= 0.97
    assert result.batch is not None
    assert 0.01 <= result.batch.anomalous[:300].mean() <= 0.1
    assert result.batch.anomalous[300:].mean() >= 0.95


def test_a_batch_answers_for_each_image_of_its_own(engine: Engine, digit: ImageInput) -> None:
    damaged = ImageInput(encoded=b"\x89PNG\r\n\x1a\n", field="images[1]")
    wide = ImageInput(array=np.zeros((1, 28, 29), np.uint8), field="images[3]")
    result = engine.score(ScoreRequest(model="mnist", images=(digit, damaged, digit, wide)), Budget())
    assert result.indices == (0, 2)
    assert [(index, type(error), error.metadata["field"]) for index, error in result.errors] == [
        (1, ImageUndecodable, "images[1]"), (3, ShapeMismatch, "images[3]"),
    ]  # fmt: skip
    assert result.batch is not None
    assert result.batch.scores[0] == result.batch.scores[1]
    assert result.threshold == result.batch.threshold
    alone = engine.score(ScoreRequest(model="mnist", images=(damaged,)), Budget())
    assert (alone.indices, alone.predictions, alone.batch) == ((), (), None)
    assert alone.threshold == result.threshold


def test_one_image_alone_and_in_a_batch_score_alike(engine: Engine, real_images: RealImages) -> None:
    images = tuple(map(_image, real_images.digits[:5]))
    batch = engine.score(ScoreRequest(model="mnist", images=images), Budget()).batch
    alone = engine.explain(ExplanationRequest(model="mnist", image=images[3], anomaly_score=SCORE), Budget()).anomaly
    assert batch is not None
    assert alone is not None
    assert alone.scores[0] == pytest.approx(batch.scores[3], abs=1e-4)


def test_what_there_is(engine: Engine, store: Path) -> None:
    (summary,) = engine.list_models()
    assert (summary.name, summary.versions) == ("mnist", ("1",))
    model = engine.describe("mnist")
    assert model.class_names == tuple("0123456789")
    assert model.image_shape == (1, 28, 28)
    spaces = {space.name: space for space in model.latent_spaces}
    assert (spaces["morphing"].latent_count, spaces["ranking"].roles) == (100, ("ranking",))
    assert any(factor.used for factor in spaces["ranking"].factors)
    assert {calibration.detector for calibration in model.calibrations} == set(Detector)
    assert all(calibration.image_count == 5000 for calibration in model.calibrations)
    assert model.bundle_digest == manifest.digest(store / "mnist/1")
    assert "weights.safetensors" in model.file_digests
    assert [state.name for state in model.backends] == ["onnx"]
    assert model.explanations == ("prediction", "latent_ranking", "anomaly_score", "path_mask")
    assert [(state.name, state.alive) for state in engine.backend_states()] == [("onnx", True)]


def test_threads_get_the_answers_that_one_gets(engine: Engine, real_images: RealImages) -> None:
    def explained(pixels: np.ndarray) -> tuple[float, ...]:
        request = ExplanationRequest(
            model="mnist", image=_image(pixels), latent_ranking=RANKING, anomaly_score=SCORE, path_mask=MASK
        )
        answer = engine.explain(request, Budget())
        assert answer.anomaly is not None
        assert answer.path_mask is not None
        assert answer.latent_ranking is not None
        first = answer.latent_ranking.latents[0].importance
        return answer.prediction.probability, float(answer.anomaly.scores[0]), answer.path_mask.objective, first

    digits = real_images.digits[:6]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(explained, digits))
    np.testing.assert_allclose(together, [explained(pixels) for pixels in digits], rtol=1e-6)


def test_the_first_to_ask_the_forest_waits_no_longer_than_the_next(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    engine = open_engine(store)
    engine.warm()
    computed = tree_shap._cached_boxes.cache_info().misses
    forest = LatentRankingParameters(method=RankingMethod.RANDOM_FOREST)
    answer = engine.explain(ExplanationRequest(model="mnist", image=digit, latent_ranking=forest), Budget())
    assert answer.latent_ranking is not None
    assert tree_shap._cached_boxes.cache_info().misses == computed


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, CostClass.FAST),
        ({"latent_ranking": RANKING, "anomaly_score": SCORE}, CostClass.FAST),
        ({"path_mask": MASK}, CostClass.SLOW),
        ({"path_mask": PathMaskParameters(solver=Solver.REFERENCE)}, CostClass.REFERENCE),
        ({"latent_ranking": LatentRankingParameters(method=RankingMethod.SOBOL)}, CostClass.SLOW),
        (
            {"latent_ranking": LatentRankingParameters(method=RankingMethod.SOBOL, scope=RankingScope.GLOBAL)},
            CostClass.FAST,
        ),
    ],
)
def test_cost_classes(digit: ImageInput, asked: dict[str, object], expected: CostClass) -> None:
    assert Engine.cost_class(dataclasses.replace(ExplanationRequest(model="mnist", image=digit), **asked)) is expected  # type: ignore[arg-type]


def test_what_a_request_usually_takes_is_known_after_a_few(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    engine = open_engine(store)
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit)
    assert engine.usual_seconds(request) == math.inf
    for _ in range(8):
        engine.explain(request, Budget())
    assert 0 < engine.usual_seconds(request) < 1
    assert engine.usual_seconds(dataclasses.replace(request, anomaly_score=SCORE)) == math.inf
    with pytest.raises(ModelNotFound):
        engine.usual_seconds(dataclasses.replace(request, model="other"))


def test_where_a_remote_backend_may_have_to_answer_nothing_is_usual(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    engine = open_engine(store, Switch("onnx"), Switch("torchserve"))
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit)
    for _ in range(8):
        engine.explain(request, Budget())
    assert engine.usual_seconds(request) == math.inf


def test_nor_while_every_slot_computes(open_engine: Callable[..., Engine], store: Path, digit: ImageInput) -> None:
    engine = open_engine(store, compute_slots=1)
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit)
    for _ in range(8):
        engine.explain(request, Budget())
    assert engine.usual_seconds(request) < math.inf
    with occupied(engine._batcher):
        assert engine.usual_seconds(request) == math.inf
