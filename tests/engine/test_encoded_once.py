"""The image of a request is encoded once a latent space, and what its score found is not computed again; other images
are asked about as ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explaind.backends import onnx, onnx_sessions
from explaind.backends.bundle_models import BundleModels
from explaind.engine import Engine
from explaind.engine.encoded_once import encoded_once
from explaind.explanations.budget import Budget
from explaind.explanations.models import FloatArray, Measured, Scorer
from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters
from explaind.requests import ExplanationRequest, ImageInput, ScoreRequest
from tests.conftest import RealImages

BUNDLE = Path(__file__).parents[2] / "model_store" / "mnist" / "1"


@pytest.fixture
def images(real_images: RealImages) -> FloatArray:
    return np.ascontiguousarray(real_images.digits[:3, np.newaxis] / np.float32(255))


class _Counting:
    def __init__(self, autoencoder: object) -> None:
        self._autoencoder, self.encoded = autoencoder, 0

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.encoded += len(images)
        return self._autoencoder.encode(images)  # type: ignore[attr-defined, no-any-return]

    def decode(self, codes: FloatArray) -> FloatArray:
        return self._autoencoder.decode(codes)  # type: ignore[attr-defined, no-any-return]


def test_the_requests_image_is_encoded_once_a_space(images: FloatArray) -> None:
    models = onnx.open_bundle(BUNDLE)
    counting = {space: _Counting(each) for space, each in models.autoencoders.items()}
    models.autoencoders.update(counting)  # type: ignore[arg-type]
    image = images[0]
    shared = encoded_once(models, image)
    for space, autoencoder in shared.autoencoders.items():
        first = autoencoder.encode(image[None])
        again = autoencoder.encode(np.ascontiguousarray(image[None], dtype=np.float32))
        assert again is first
        assert counting[space].encoded == 1
        np.testing.assert_array_equal(first[0], models.autoencoders[space].encode(image[None])[0])


def test_other_images_are_encoded_each_time(images: FloatArray) -> None:
    models = onnx.open_bundle(BUNDLE)
    shared = encoded_once(models, np.ascontiguousarray(images[0])).autoencoders["morphing"]
    own = shared.encode(images[0][None].copy())[0]
    other = shared.encode(images[1][None])[0]
    assert not np.array_equal(own, other)
    both = shared.encode(images[:2])[0]
    np.testing.assert_allclose(both, np.concatenate([own, other]), atol=1e-5)


def test_what_is_decoded_is_the_autoencoders(images: FloatArray) -> None:
    models = onnx.open_bundle(BUNDLE)
    shared = encoded_once(models, images[0]).autoencoders["morphing"]
    mean, _ = shared.encode(images[0][None])
    np.testing.assert_array_equal(shared.decode(mean), models.autoencoders["morphing"].decode(mean))


def test_what_a_scorer_rebuilt_is_not_decoded_again(images: FloatArray) -> None:
    models, seen, _ = _scored(images)
    seen.scorers["morphing"].measure(images)
    autoencoder = seen.autoencoders["morphing"]
    autoencoder._autoencoder = _NeverAsked()  # type: ignore[attr-defined]
    mean, _ = autoencoder.encode(images)
    rebuilt = models.autoencoders["morphing"].decode(mean)
    np.testing.assert_allclose(autoencoder.decode(mean), rebuilt, atol=1e-5)
    with pytest.raises(AssertionError, match="decode was asked"):
        autoencoder.decode(mean.copy())


class _CountingScorer:
    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self.measured = scorer, 0

    def measure(self, images: FloatArray) -> Measured:
        self.measured += len(images)
        return self._scorer.measure(images)


class _NeverAsked:
    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked")


def _scored(images: FloatArray) -> tuple[BundleModels, BundleModels, _CountingScorer]:
    """The bundle's models, and as they are for `images`."""
    models = onnx.open_bundle(BUNDLE)
    counting = _CountingScorer(models.scorers["morphing"])
    return models, encoded_once(replace(models, scorers={"morphing": counting}), images), counting


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_score_found_is_not_computed_again(images: FloatArray, count: int) -> None:
    asked = images[:count]
    models, _, counting = _scored(asked)
    spaces = {"morphing": _NeverAsked(), "ranking": models.autoencoders["ranking"]}
    shared = encoded_once(
        replace(models, classifier=_NeverAsked(), autoencoders=spaces, scorers={"morphing": counting}),  # type: ignore[arg-type]
        asked,
    )
    first = shared.scorers["morphing"].measure(asked)
    assert shared.scorers["morphing"].measure(np.ascontiguousarray(asked)) is first
    assert shared.classifier.logits(asked) is first.logits
    assert shared.autoencoders["morphing"].encode(asked)[0] is first.mean
    assert counting.measured == count
    np.testing.assert_array_equal(
        shared.autoencoders["ranking"].encode(asked)[0], models.autoencoders["ranking"].encode(asked)[0]
    )


def test_without_a_score_the_classifier_is_asked_alone(images: FloatArray) -> None:
    models, shared, counting = _scored(images[0])
    np.testing.assert_array_equal(shared.classifier.logits(images[:1]), models.classifier.logits(images[:1]))
    assert counting.measured == 0


def test_a_part_of_the_images_is_another_question(images: FloatArray) -> None:
    models, shared, counting = _scored(images)
    shared.scorers["morphing"].measure(images)
    part = images[1:]
    np.testing.assert_allclose(shared.classifier.logits(part), models.classifier.logits(part), atol=1e-5)
    assert len(shared.scorers["morphing"].measure(part).logits) == 2
    assert counting.measured == 3 + 2
    assert shared.scorers["morphing"].measure(images.copy()) is not shared.scorers["morphing"].measure(images)


def test_a_request_of_everything_measures_its_image_once(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    graphs: list[str] = []
    run = onnx_sessions.Session.run

    def noted(session: onnx_sessions.Session, *arrays: FloatArray) -> list[FloatArray]:
        graphs.append(session._name)
        return run(session, *arrays)

    engine = open_engine(store)
    engine.warm()
    scored = ExplanationRequest(model="mnist", image=digit, anomaly_score=AnomalyScoreParameters())
    everything = replace(scored, latent_ranking=LatentRankingParameters(), path_mask=PathMaskParameters())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onnx_sessions.Session, "run", noted)
        engine.explain(scored, Budget())
        engine.score(ScoreRequest(model="mnist", images=(digit,) * 3), Budget())
        assert graphs == ["morphing_scorer.onnx"] * 2
        graphs.clear()
        engine.explain(everything, Budget())
    assert graphs.count("morphing_scorer.onnx") == 2  # the image's and its counterpart's
    assert "morphing_encoder.onnx" not in graphs[: graphs.index("ranking_encoder.onnx")]
