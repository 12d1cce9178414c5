"""A batch is computed piece by piece: bounded in memory, soon cancelled, and answered as if it were one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explaind.engine import Engine, batches
from explaind.errors import Cancelled
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters, Detector
from explaind.requests import ImageInput, ScoreRequest
from tests.conftest import RealImages
from tests.switched_backend import Switch

DAMAGED = ImageInput(encoded=b"\x89PNG", field="images[5]")
DETECTORS = list(Detector)


@pytest.fixture
def images(real_images: RealImages) -> tuple[ImageInput, ...]:
    """Eleven, of which the sixth is damaged."""
    arrays = [*real_images.digits[:6], *real_images.clothes[:5]]
    found = [ImageInput(array=array[np.newaxis]) for array in arrays]
    return (*found[:5], DAMAGED, *found[6:])


@pytest.mark.parametrize(
    ("count", "shape", "sizes"),
    [
        (1, (1, 28, 28), [1]),
        (600, (1, 28, 28), [256, 256, 88]),
        (230, (3, 224, 224), [111, 111, 8]),
        (2, (3, 8192, 8192), [1, 1]),
    ],
)
def test_a_piece_is_bounded_in_images_and_in_bytes(count: int, shape: tuple[int, ...], sizes: list[int]) -> None:
    pieces = list(batches.pieces(count, shape))
    assert [len(piece) for piece in pieces] == sizes
    assert [position for piece in pieces for position in piece] == list(range(count))


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.value)
def test_the_answer_is_that_of_the_whole(
    engine: Engine, images: tuple[ImageInput, ...], detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ScoreRequest(model="mnist", images=images, parameters=AnomalyScoreParameters(detector=detector))
    whole = engine.score(request, Budget())
    monkeypatch.setattr(batches, "PIECE_IMAGES", 2)
    parts = engine.score(request, Budget())
    assert parts.indices == whole.indices == (0, 1, 2, 3, 4, 6, 7, 8, 9, 10)
    assert [index for index, _ in parts.errors] == [5]
    assert [p.class_index for p in parts.predictions] == [p.class_index for p in whole.predictions]
    assert parts.batch is not None and whole.batch is not None
    for name in ("scores", "p_values", "anomalous", "kl", "mean_norms"):
        np.testing.assert_allclose(getattr(parts.batch, name), getattr(whole.batch, name), rtol=1e-4)
    np.testing.assert_allclose(parts.batch.losses.mse, whole.batch.losses.mse, rtol=1e-4)
    assert (parts.batch.probabilities is None) == (detector is Detector.MAHALANOBIS)
    assert parts.threshold == whole.threshold
    assert [timing.stage for timing in parts.timings] == [timing.stage for timing in whole.timings]


def test_images_that_are_all_damaged_make_no_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PIECE_IMAGES", 2)
    result = engine.score(ScoreRequest(model="mnist", images=(DAMAGED,) * 3), Budget())
    assert (result.batch, [index for index, _ in result.errors]) == (None, [0, 1, 2])


def test_no_images_beyond_the_numbers_are_kept(engine: Engine, images: tuple[ImageInput, ...]) -> None:
    batch = engine.score(ScoreRequest(model="mnist", images=images), Budget()).batch
    assert batch is not None
    assert batch.reconstructions.nbytes == batch.error_maps.nbytes == len(batch.contributions) == 0


def test_a_cancelled_batch_ends_with_its_piece(
    open_engine: Callable[..., Engine], store: Path, images: tuple[ImageInput, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PIECE_IMAGES", 2)
    switch, budget = Switch(), Budget()
    engine = open_engine(store, switch)
    engine.warm()
    switch.calls = 0
    request = ScoreRequest(model="mnist", images=images)
    engine.score(request, budget)
    assert switch.calls == 6
    switch.before = budget.cancel
    with pytest.raises(Cancelled):
        engine.score(request, budget)
    assert switch.calls == 6 + 1


def test_a_backend_that_dies_within_a_batch_is_followed_by_the_next(
    open_engine: Callable[..., Engine], store: Path, images: tuple[ImageInput, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PIECE_IMAGES", 2)
    first, second = Switch("torchserve"), Switch("onnx")
    engine = open_engine(store, first, second)
    engine.warm()
    first.calls = second.calls = 0

    def die() -> None:
        first.on = first.calls < 3

    first.before = die
    result = engine.score(ScoreRequest(model="mnist", images=images), Budget())
    assert (first.calls, second.calls) == (3, 4)
    assert len(result.predictions) == 10
