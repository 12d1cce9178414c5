"""Both detectors on a NumPy autoencoder that rebuilds only what lies in its subspace."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.errors import Cancelled, ExplanationUnsupported, ParameterOutOfRange
from explaind.explanations import anomaly_score, detectors
from explaind.explanations.anomaly_features import supervised_features, supervised_names
from explaind.explanations.budget import Budget
from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import (
    AnomalyReference,
    AnomalyScoreParameters,
    Detector,
    LogisticFit,
    MahalanobisFit,
)

SIDE, LATENTS = 12, 4


class _Subspace:
    """A linear VAE: codes are coordinates along four orthonormal patterns around grey."""

    def __init__(self) -> None:
        basis, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(SIDE * SIDE, LATENTS)))
        self.patterns = basis.T

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = (images.reshape(len(images), -1) - 0.5) @ self.patterns.T
        return mean.astype(np.float32), np.full(mean.shape, 0.3, np.float32)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        flat = 0.5 + codes @ self.patterns
        return np.clip(flat, 0, 1).reshape(-1, 1, SIDE, SIDE).astype(np.float32)


@pytest.fixture(scope="module")
def vae() -> _Subspace:
    return _Subspace()


def _inside(vae: _Subspace, count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    clean = vae.decode(random.normal(size=(count, LATENTS)))
    return np.clip(clean + random.normal(0, 0.02, clean.shape), 0, 1).astype(np.float32)


def _outside(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 1, SIDE, SIDE)).astype(np.float32)


def _features(vae: _Subspace, images: np.ndarray) -> np.ndarray:
    mean, deviation = vae.encode(images)
    return anomaly_score.features(images, vae.decode(mean), mean, deviation)


def _logistic(vae: _Subspace) -> LogisticFit:
    """Weighs MSE alone."""
    weights = np.zeros(5 + LATENTS)
    weights[0] = 2.0
    scale = np.ones(5 + LATENTS)
    scale[0] = 0.01
    bare = LogisticFit(
        center=np.zeros(5 + LATENTS), scale=scale, weights=weights, intercept=-1.0, calibration=np.zeros(0)
    )
    images = _inside(vae, 200, 9)
    mean, _ = vae.encode(images)
    return anomaly_score.calibrated(bare, supervised_features(losses(images, vae.decode(mean)), mean, 1))


@pytest.fixture(scope="module")
def reference(vae: _Subspace) -> AnomalyReference:
    fit = anomaly_score.fit_mahalanobis(_features(vae, _inside(vae, 500, 7)), _features(vae, _inside(vae, 400, 8)))
    rebuilt = [vae.decode(vae.encode(_inside(vae, 300, seed))[0]) for seed in (10, 11)]
    second = anomaly_score.fit_mahalanobis(_features(vae, rebuilt[0]), _features(vae, rebuilt[1]))
    return AnomalyReference(mahalanobis=fit, logistic=_logistic(vae), rebuilt=second)


@pytest.mark.parametrize("detector", list(Detector))
def test_outliers_are_flagged_and_members_at_about_the_level(
    vae: _Subspace, reference: AnomalyReference, detector: Detector
) -> None:
    parameters = AnomalyScoreParameters(detector=detector, level=0.05)
    outside = anomaly_score.explain(vae, reference, _outside(20, 12), parameters)
    inside = anomaly_score.explain(vae, reference, _inside(vae, 1000, 13), parameters)
    assert outside.anomalous.all()
    assert outside.p_values.max() <= 1 / (len(reference.mahalanobis.calibration) / 2)
    assert 0.01 < inside.anomalous.mean() < 0.10
    assert np.array_equal(inside.anomalous, inside.p_values <= 0.05)
    assert np.array_equal(inside.anomalous, inside.scores > inside.threshold)


def test_a_batch_scores_as_its_images_do(vae: _Subspace, reference: AnomalyReference) -> None:
    images = _inside(vae, 5, 14)
    parameters = AnomalyScoreParameters(include_error_map=True)
    together = anomaly_score.explain(vae, reference, images, parameters)
    alone = [anomaly_score.explain(vae, reference, images[i : i + 1], parameters) for i in range(5)]
    assert together.scores == pytest.approx([one.scores[0] for one in alone], rel=1e-5)
    assert together.error_maps.shape == (5, SIDE, SIDE)
    assert together.error_maps.mean(axis=(1, 2)) == pytest.approx(together.losses.mse, rel=1e-5)


@pytest.mark.parametrize("detector", list(Detector), ids=lambda detector: detector.value)
def test_batches_without_details_join_to_the_numbers_of_the_whole(
    vae: _Subspace, reference: AnomalyReference, detector: Detector
) -> None:
    images, parameters = _inside(vae, 5, 14), AnomalyScoreParameters(detector=detector)
    whole = anomaly_score.explain(vae, reference, images, parameters)
    parts = [
        anomaly_score.explain(vae, reference, part, parameters, details=False) for part in (images[:2], images[2:])
    ]
    assert [(part.contributions, part.reconstructions.size, part.error_maps.size) for part in parts] == [((), 0, 0)] * 2
    joined = anomaly_score.joined(parts)
    assert joined.scores == pytest.approx(whole.scores, rel=1e-5)
    assert joined.losses.ssim == pytest.approx(whole.losses.ssim, rel=1e-5)
    assert np.array_equal(joined.anomalous, whole.anomalous)
    if whole.probabilities is None:
        assert joined.probabilities is None
    else:
        assert joined.probabilities == pytest.approx(whole.probabilities, rel=1e-5)


def test_mahalanobis_shares_sum_to_one_and_fall(vae: _Subspace, reference: AnomalyReference) -> None:
    batch = anomaly_score.explain(vae, reference, _outside(3, 15), AnomalyScoreParameters())
    for row in batch.contributions:
        assert sum(part.share for part in row) == pytest.approx(1.0)
        sizes = [abs(part.share) for part in row]
        assert sizes == sorted(sizes, reverse=True)
        assert {part.feature for part in row} == set(anomaly_score.MAHALANOBIS_FEATURES)


def test_a_feature_that_alone_is_far_gets_the_whole_share() -> None:
    fit = MahalanobisFit(center=np.zeros(3), scale=np.ones(3), precision=np.eye(3), calibration=np.zeros(1))
    judgement = detectors.judge(fit, np.array([[0.0, 4.0, 0.0], [0.0, 0.0, 0.0]]))
    assert judgement.shares.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert judgement.scores.tolist() == [4, 0]
    assert detectors.scores(fit, np.array([[0.0, 4.0, 3.0]])) == pytest.approx([5.0])


def test_the_regression_names_the_feature_it_weighs(vae: _Subspace, reference: AnomalyReference) -> None:
    parameters = AnomalyScoreParameters(detector=Detector.LOGISTIC_REGRESSION)
    batch = anomaly_score.explain(vae, reference, _outside(2, 16), parameters)
    assert batch.contributions[0][0].feature == "mse"
    assert batch.contributions[0][0].share == pytest.approx(1.0)
    assert batch.probabilities is not None
    assert batch.probabilities == pytest.approx(1 / (1 + np.exp(-batch.scores)))


def test_mahalanobis_matches_the_textbook_distance() -> None:
    random = np.random.default_rng(17)
    sample = random.normal(size=(300, 6)) @ random.normal(size=(6, 6))
    fit = anomaly_score.fit_mahalanobis(sample, sample[:10])
    probe = sample[0] + 3.0
    difference = probe - sample.mean(axis=0)
    expected = np.sqrt(difference @ np.linalg.inv(np.cov(sample, rowvar=False)) @ difference)
    assert detectors.scores(fit, probe[None])[0] == pytest.approx(expected)
    assert np.all(np.diff(fit.calibration) >= 0)


def test_a_constant_feature_divides_by_nothing() -> None:
    sample = np.random.default_rng(18).normal(size=(50, 6))
    sample[:, 5] = 2.0
    fit = anomaly_score.fit_mahalanobis(sample, sample)
    assert np.isfinite(fit.calibration).all()


def test_a_fit_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two images"):
        anomaly_score.fit_mahalanobis(np.zeros((1, 6)), np.zeros((1, 6)))


def test_decoded_images_pass_the_rebuilt_calibration(vae: _Subspace, reference: AnomalyReference) -> None:
    decoded = vae.decode(np.random.default_rng(19).normal(size=(200, LATENTS)).astype(np.float32))
    assert (anomaly_score.rebuilt_p_values(vae, reference, decoded) > 0.01).mean() > 0.9
    assert anomaly_score.rebuilt_p_values(vae, reference, _outside(5, 20)).max() < 0.01


def test_colour_images_have_six_losses_and_grey_five() -> None:
    random = np.random.default_rng(21)
    for channels, count in ((1, 5), (3, 6)):
        x, y = random.random((2, channels, 12, 12)), random.random((2, channels, 12, 12))
        columns = supervised_features(losses(x, y), np.zeros((2, LATENTS)), channels)
        assert columns.shape == (2, count + LATENTS)
        assert len(supervised_names(channels, LATENTS)) == count + LATENTS


def test_a_level_below_what_calibration_can_tell_is_refused(vae: _Subspace, reference: AnomalyReference) -> None:
    with pytest.raises(ParameterOutOfRange, match=r"anomaly_score\.level"):
        anomaly_score.explain(vae, reference, _inside(vae, 1, 22), AnomalyScoreParameters(level=1 / 500))


def test_a_bundle_without_outliers_has_no_regression(vae: _Subspace, reference: AnomalyReference) -> None:
    bare = AnomalyReference(mahalanobis=reference.mahalanobis, logistic=None, rebuilt=reference.rebuilt)
    with pytest.raises(ExplanationUnsupported, match="Mahalanobis"):
        parameters = AnomalyScoreParameters(detector=Detector.LOGISTIC_REGRESSION)
        anomaly_score.explain(vae, bare, _inside(vae, 1, 23), parameters)


def test_cancellation_ends_it(vae: _Subspace, reference: AnomalyReference) -> None:
    budget = Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        anomaly_score.explain(vae, reference, _inside(vae, 1, 24), AnomalyScoreParameters(), budget=budget)
