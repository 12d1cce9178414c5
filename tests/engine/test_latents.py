"""Comparing and traversing over the real demo bundle."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explaind.bundles import manifest
from explaind.engine import Engine
from explaind.errors import (
    Cancelled,
    DeadlineTooShort,
    ImageUndecodable,
    ModelNotFound,
    ParameterOutOfRange,
    ShapeMismatch,
)
from explaind.explanations.budget import Budget
from explaind.explanations.latent_types import Hold, TraversalParameters
from explaind.requests import CompareRequest, CompareResult, ImageInput, TraverseRequest, TraverseResult
from tests.conftest import RealImages
from tests.switched_backend import Switch

EMPTY_FILE = ImageInput(encoded=b"\x89PNG\r\n\x1a\n", field="image_b")


def _image(pixels: np.ndarray, field: str = "image") -> ImageInput:
    return ImageInput(array=pixels[np.newaxis], field=field)


def _compared(engine: Engine, first: np.ndarray, second: np.ndarray) -> CompareResult:
    asked = CompareRequest(model="mnist", image_a=_image(first, "image_a"), image_b=_image(second, "image_b"))
    return engine.compare(asked, Budget())


def _traversed(engine: Engine, pixels: np.ndarray, **parameters: object) -> TraverseResult:
    asked = TraversalParameters(**parameters)  # type: ignore[arg-type]
    return engine.traverse(TraverseRequest(model="mnist", image=_image(pixels), parameters=asked), Budget())


def test_two_digits_compared(engine: Engine, store: Path, real_images: RealImages) -> None:
    digits = real_images.digits
    answer = _compared(engine, digits[0], digits[1])
    assert (answer.model, answer.model_version, answer.latent_space) == ("mnist", "1", "ranking")
    (space,) = [space for space in engine.describe("mnist").latent_spaces if space.name == "ranking"]
    used = {factor.factor.label for factor in space.factors if factor.used}
    assert {found.factor.label for found in answer.comparison.differences} == used
    scores = [abs(found.z_score) for found in answer.comparison.differences]
    assert scores == sorted(scores, reverse=True)
    assert [answer.class_names[found.class_index] for found in answer.predictions] == list(
        map(str, real_images.labels[:2])
    )
    floats = digits[1].astype("<f4") / np.float32(255)
    assert answer.image_digests[1] == hashlib.sha256(floats.tobytes()).hexdigest()
    assert answer.bundle_digest == manifest.digest(store / "mnist/1")
    stages = [(timing.stage, timing.backend) for timing in answer.timings]
    assert stages == [("decode", ""), ("predict", "onnx"), ("latent_comparison", "onnx")]


def test_a_slanted_digit_differs_in_slant(engine: Engine, real_images: RealImages) -> None:
    """A shear, whose cause is known: «backward slant» moves most, in most digits, and always to the right side."""
    found = []
    for digit in real_images.digits[:40]:
        sheared = np.stack([np.roll(row, round((place - 14) * 0.35)) for place, row in enumerate(digit)])
        differences = _compared(engine, digit, sheared).comparison.differences
        found.append([(difference.factor.label, difference.z_score > 0) for difference in differences])
    assert np.mean([rows[0][0] == "backward slant" for rows in found]) >= 0.7
    assert np.mean([("backward slant", True) in rows for rows in found]) >= 0.95


def test_random_pairs_are_as_near_as_random_pairs(engine: Engine, real_images: RealImages) -> None:
    digits, other = real_images.digits, np.random.default_rng(0).permutation(300)
    pairs = [(digits[i], digits[j]) for i, j in enumerate(other) if i != j]
    found = np.array([_compared(engine, a, b).comparison.same_p_value for a, b in pairs])
    assert 0.01 <= (found <= 0.05).mean() <= 0.1
    assert 0.4 <= np.median(found) <= 0.65
    assert _compared(engine, digits[0], digits[0]).comparison.same_p_value == 0.0


def test_a_digit_traversed(engine: Engine, real_images: RealImages) -> None:
    answer = _traversed(engine, real_images.digits[0])
    assert answer.latent_space == "ranking"
    assert answer.prediction.class_index == real_images.labels[0]
    assert len(answer.traversals.traversals) == 10
    assert all(found.images.shape == (10, 1, 28, 28) for found in answer.traversals.traversals)
    assert all((found.response >= 0).all() and (found.response <= 1).all() for found in answer.traversals.traversals)
    assert answer.traversals.reconstruction_agrees
    stages = [(timing.stage, timing.backend) for timing in answer.timings]
    assert stages == [("decode", ""), ("predict", "onnx"), ("latent_traversal", "onnx")]


def test_unused_latents_of_another_space_can_be_moved(engine: Engine, real_images: RealImages) -> None:
    answer = _traversed(
        engine, real_images.digits[0], latent_space="morphing", dimensions=(99, 0), steps=2, hold=Hold.ZERO
    )
    assert [found.dimension for found in answer.traversals.traversals] == [99, 0]
    assert [found.factor.label for found in answer.traversals.traversals] == ["z99", "z0"]
    assert all(np.ptp(found.images, axis=0).mean() < 0.02 for found in answer.traversals.traversals)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"dimensions": (12,)}, "dimension"),
        ({"latent_space": "nowhere"}, "latent_space"),
        ({"steps": 1}, "steps"),
        ({"latent_space": "morphing", "dimensions": tuple(range(100)), "steps": 11}, "steps"),
        ({"low": 3.0, "high": -3.0}, "high"),
    ],
    ids=str,
)
def test_what_cannot_be_traversed(
    engine: Engine, real_images: RealImages, parameters: dict[str, object], field: str
) -> None:
    with pytest.raises(ParameterOutOfRange) as caught:
        _traversed(engine, real_images.digits[0], **parameters)
    assert caught.value.field == field


def test_either_image_may_be_to_blame(engine: Engine, digit: ImageInput) -> None:
    wide = ImageInput(array=np.zeros((1, 28, 29), np.uint8), field="image_a")
    with pytest.raises(ShapeMismatch) as shape:
        engine.compare(CompareRequest(model="mnist", image_a=wide, image_b=digit), Budget())
    assert shape.value.field == "image_a"
    with pytest.raises(ImageUndecodable) as undecodable:
        engine.compare(CompareRequest(model="mnist", image_a=digit, image_b=EMPTY_FILE), Budget())
    assert undecodable.value.field == "image_b"


def test_no_model_no_space_no_time(engine: Engine, digit: ImageInput) -> None:
    pair = CompareRequest(model="mnist", image_a=digit, image_b=digit, latent_space="nowhere")
    with pytest.raises(ParameterOutOfRange, match="morphing, ranking") as caught:
        engine.compare(pair, Budget())
    assert caught.value.field == "latent_space"
    with pytest.raises(ModelNotFound):
        engine.traverse(TraverseRequest(model="emnist", image=digit), Budget())
    late, cancelled = Budget(deadline=time.monotonic() - 1), Budget()
    cancelled.cancel()
    for budget, kind in ((late, DeadlineTooShort), (cancelled, Cancelled)):
        with pytest.raises(kind):
            engine.compare(CompareRequest(model="mnist", image_a=digit, image_b=digit), budget)
        with pytest.raises(kind):
            engine.traverse(TraverseRequest(model="mnist", image=digit), budget)


def test_another_backend_takes_over(open_engine: Callable[..., Engine], store: Path, digit: ImageInput) -> None:
    first = Switch("torchserve")
    engine = open_engine(store, first, Switch("onnx"))
    engine.warm()
    first.on = False
    answer = engine.compare(CompareRequest(model="mnist", image_a=digit, image_b=digit), Budget())
    assert {timing.backend for timing in answer.timings if timing.backend} == {"onnx"}
