"""The losses as operators: NumPy's to 1e-9, on real digits and clothes, on flat images and in colour."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from explaind.backends.onnx_joining import DOUBLE, Joined
from explaind.backends.onnx_loss_operators import Sizes, Statistics, fits
from explaind.explanations import measurement
from explaind.explanations.anomaly_features import code_statistics
from explaind.explanations.models import FloatArray
from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import DoubleArray
from tests.conftest import RealImages

LATENTS = 7
TOLERANCE = 1e-9
OPERATORS = 20


def _found(images: FloatArray, rebuilt: FloatArray, mean: FloatArray, deviation: FloatArray) -> DoubleArray:
    shape = images.shape[1:]
    graph = Joined("losses")
    graph._versions[""] = OPERATORS  # no part brings one
    graph._model.ir_version = 10
    ends = [graph.input("images", shape), graph.input("rebuilt", shape)]
    ends += [graph.input(name, (LATENTS,)) for name in ("mean", "deviation")]
    channels, height, width = shape
    statistics = Statistics(graph, Sizes(channels, height, width, LATENTS)).of(*ends)
    graph.output("statistics", statistics, (len(measurement.STATISTICS),), DOUBLE)
    session = onnxruntime.InferenceSession(graph.serialized(), providers=["CPUExecutionProvider"])
    fed = {"images": images, "rebuilt": rebuilt, "mean": mean, "deviation": deviation}
    found: DoubleArray = session.run(None, fed)[0]
    return found


def _expected(images: FloatArray, rebuilt: FloatArray, mean: FloatArray, deviation: FloatArray) -> DoubleArray:
    found = measurement.Reconstruction(mean, rebuilt, losses(images, rebuilt), code_statistics(mean, deviation))
    return measurement.statistics(found)


def _codes(count: int) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(1)
    deviation = random.random((count, LATENTS), dtype=np.float32)
    deviation[0, 0] = 0  # whose logarithm is kept finite
    return random.standard_normal((count, LATENTS)).astype(np.float32), deviation


def _assert_alike(images: FloatArray, rebuilt: FloatArray) -> DoubleArray:
    codes = _codes(len(images))
    found, expected = _found(images, rebuilt, *codes), _expected(images, rebuilt, *codes)
    for name, column, right in zip(measurement.STATISTICS, found.T, expected.T, strict=True):
        np.testing.assert_allclose(column, right, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
    return found


def _grey(pixels: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(pixels[:, None], np.float32) / np.float32(255)


def test_digits_and_clothes(real_images: RealImages) -> None:
    images = np.concatenate([_grey(real_images.digits[:50]), _grey(real_images.clothes[:50])])
    noise = np.random.default_rng(0).normal(0, 0.1, images.shape)
    _assert_alike(images, np.clip(images + noise, 0, 1).astype(np.float32))


def test_one_image_alone(real_images: RealImages) -> None:
    images = _grey(real_images.digits[:2])
    _assert_alike(images[:1], images[1:])


def test_flat_images_and_their_opposites() -> None:
    flat = np.ones((1, 1, 28, 28), np.float32)
    pairs = [(0 * flat, 0 * flat), (flat, flat), (0 * flat, flat), (flat, 0 * flat), (flat / 2, 0 * flat)]
    images, rebuilt = (np.concatenate(side) for side in zip(*pairs, strict=True))
    found = dict(zip(measurement.STATISTICS, _assert_alike(images, rebuilt).T, strict=True))
    np.testing.assert_allclose(found["cosine_distance"], [0, 0, 1, 1, 1], atol=TOLERANCE)
    np.testing.assert_allclose(found["ssim"][:2], 1)
    np.testing.assert_allclose(found["mse"], [0, 0, 1, 1, 0.25])


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 11, 17), (2, 13, 13), (1, 64, 20)])
def test_colour_and_other_sizes(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(2)
    images = random.random((5, *shape), dtype=np.float32)
    images[0] = np.round(images[0])  # where the logarithms are cut off
    rebuilt = np.clip(images + random.normal(0, 0.3, images.shape), 0, 1).astype(np.float32)
    found = dict(zip(measurement.STATISTICS, _assert_alike(images, rebuilt).T, strict=True))
    same = np.allclose(found["cross_entropy"], found["color_cross_entropy"])
    assert same == (shape[0] == 1)


def test_a_value_that_is_no_number_spoils_its_own_image_only(real_images: RealImages) -> None:
    images = _grey(real_images.digits[:3])
    rebuilt = images[::-1].copy()
    rebuilt[1, 0, 14, 14] = np.nan
    found, expected = _found(images, rebuilt, *_codes(3)), _expected(images, rebuilt, *_codes(3))
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=TOLERANCE, atol=TOLERANCE)
    losses_found = found[1, [measurement.STATISTICS.index(name) for name in ("mse", "ssim", "cross_entropy_excess")]]
    assert np.isnan(losses_found).all()


def test_a_window_must_fit() -> None:
    assert fits(11, 11)
    assert not fits(10, 11)
    assert not fits(11, 10)
