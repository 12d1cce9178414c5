"""The real bundle, batched: the same numbers as unbatched, from 32 threads, for every kind of call."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.backends import onnx
from explaind.backends.bundle_models import BundleModels
from explaind.engine.batching import Batcher, batched
from explaind.errors import BackendUnavailable, ShapeMismatch
from explaind.explanations.models import Classifier, FloatArray
from tests.conftest import RealImages
from tests.engine.batching.stand_ins import PATIENCE, Caller, assert_all_free, occupied

THREADS = 32
PARITY = 1e-4
KINDS = ("logits", "probability_gradient", "encode", "decode", "logit_gradient", "measure")

Ask = Callable[[BundleModels, slice], tuple[FloatArray, ...]]


@dataclass
class Batched:
    """models: the bundle as it is. shared: its calls batched, in one slot; `observed`: calls and rows of each batch."""

    models: BundleModels
    batcher: Batcher
    shared: BundleModels
    observed: list[tuple[int, int]]


@pytest.fixture(scope="module")
def models(store: Path) -> BundleModels:
    return onnx.open_bundle(store / "mnist/1", threads=1, device="cpu")


@pytest.fixture
def bundle(models: BundleModels) -> Batched:
    batcher, observed = Batcher(slots=1, batch_rows=64), []
    return Batched(models, batcher, batched(models, batcher, lambda *counts: observed.append(counts)), observed)


@pytest.fixture(scope="module")
def images(real_images: RealImages) -> FloatArray:
    """(300, 1, 28, 28) in [0, 1]."""
    return np.ascontiguousarray(real_images.digits[:, None], np.float32) / 255


@pytest.fixture(scope="module")
def codes(models: BundleModels, images: FloatArray) -> FloatArray:
    """(300, 100): of the images."""
    return models.autoencoders["morphing"].encode(images)[0]


@pytest.fixture(scope="module")
def asks(images: FloatArray, codes: FloatArray) -> dict[str, Ask]:
    return _asks(images, codes)


def _asks(images: FloatArray, codes: FloatArray) -> dict[str, Ask]:
    """Each kind of call, of the rows at some positions."""
    weights = np.random.default_rng(0).standard_normal((len(images), 10)).astype(np.float32)
    return {
        "logits": lambda of, at: (of.classifier.logits(images[at]),),
        "probability_gradient": lambda of, at: _gradient(of).probability_gradient(images[at], weights[at]),
        "encode": lambda of, at: of.autoencoders["morphing"].encode(images[at]),
        "decode": lambda of, at: (of.autoencoders["morphing"].decode(codes[at]),),
        "logit_gradient": lambda of, at: of.morph_gradients["morphing"].logit_gradient(codes[at], weights[at]),
        "measure": lambda of, at: of.scorers["morphing"].measure(images[at]),
    }


def _gradient(models: BundleModels) -> Any:
    assert models.classifier_gradient is not None
    return models.classifier_gradient


def _slices(count: int) -> list[slice]:
    """Of 1, 2 and 3 rows in turn."""
    starts = [0]
    for n in range(count):
        starts.append(starts[-1] + n % 3 + 1)
    return [slice(start, end) for start, end in itertools.pairwise(starts)]


def _assert_equal(found: tuple[FloatArray, ...], expected: tuple[FloatArray, ...]) -> None:
    assert len(found) == len(expected)
    for part, other in zip(found, expected, strict=True):
        assert part.dtype == other.dtype
        assert part.flags.c_contiguous
        np.testing.assert_allclose(part, other, rtol=0, atol=PARITY)


@pytest.mark.parametrize("kind", KINDS)
def test_32_callers_in_few_batches_get_what_each_would_get_alone(
    bundle: Batched, asks: dict[str, Ask], kind: str
) -> None:
    ask = asks[kind]
    with occupied(bundle.batcher):
        callers = [Caller(lambda at=at: ask(bundle.shared, at)).once_it_waits() for at in _slices(THREADS)]
    for at, caller in zip(_slices(THREADS), callers, strict=True):
        _assert_equal(caller.result(), ask(bundle.models, at))
    assert sum(calls for calls, _ in bundle.observed) == THREADS
    assert len(bundle.observed) == 1, "63 rows fit"


def test_all_kinds_at_once_from_32_threads(bundle: Batched, asks: dict[str, Ask]) -> None:
    expected = {(kind, at.start): asks[kind](bundle.models, at) for kind in KINDS for at in _slices(20)}
    start = threading.Barrier(THREADS)

    def all_of_them(turn: int) -> None:
        start.wait(PATIENCE)
        for step, at in enumerate(_slices(20)):
            kind = KINDS[(turn + step) % len(KINDS)]
            _assert_equal(asks[kind](bundle.shared, at), expected[kind, at.start])

    for caller in [Caller(lambda turn=turn: all_of_them(turn)) for turn in range(THREADS)]:
        caller.result()
    assert sum(calls for calls, _ in bundle.observed) == THREADS * 20
    assert_all_free(bundle.batcher, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_nan_spoils_no_other_ones(bundle: Batched, images: FloatArray, codes: FloatArray, kind: str) -> None:
    spoilt_images, spoilt_codes = images[:3].copy(), codes[:3].copy()
    spoilt_images[1] = spoilt_codes[1] = np.nan
    ask = _asks(spoilt_images, spoilt_codes)[kind]
    rows = [slice(n, n + 1) for n in range(3)]
    with occupied(bundle.batcher):
        callers = [Caller(lambda at=at: ask(bundle.shared, at)).once_it_waits() for at in rows]
    for at, caller in zip(rows, callers, strict=True):
        _assert_equal(caller.result(), ask(bundle.models, at))
        assert all(np.isfinite(part).all() for part in caller.result()) == (at.start != 1)
    assert bundle.observed == [(3, 3)]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 1, 5, 5), np.float32),
        np.zeros((0, 1, 28, 28), np.float32),
        np.float32(0.0),
        np.zeros((300, 1, 5, 5), np.float32),
    ],
)
def test_a_wrong_shape_is_refused_to_its_own_caller_busy_or_idle(
    bundle: Batched, images: FloatArray, wrong: NDArray[Any]
) -> None:
    with pytest.raises(ShapeMismatch):
        bundle.shared.classifier.logits(wrong)
    with occupied(bundle.batcher):
        refused = Caller(lambda: bundle.shared.classifier.logits(wrong)).once_it_waits()
        good = Caller(lambda: bundle.shared.classifier.logits(images[:1])).once_it_waits()
    assert isinstance(refused.error(), ShapeMismatch)
    _assert_equal((good.result(),), (bundle.models.classifier.logits(images[:1]),))


def test_weights_that_are_too_few_are_refused_however_large_the_call(bundle: Batched, images: FloatArray) -> None:
    for count in (2, 300):
        with pytest.raises(ShapeMismatch):
            _gradient(bundle.shared).probability_gradient(images[:count], np.zeros((1, 10), np.float32))


@dataclass
class _Stopping:
    """A classifier that records its calls and can be stopped in its first."""

    classifier: Classifier
    counts: list[int]
    inside: threading.Event
    release: threading.Event

    def logits(self, images: FloatArray) -> FloatArray:
        self.counts.append(len(images))
        self.inside.set()
        self.release.wait(PATIENCE)
        return self.classifier.logits(images)


def test_a_large_call_gives_way_between_its_pieces(models: BundleModels, images: FloatArray) -> None:
    stopping = _Stopping(models.classifier, [], threading.Event(), threading.Event())
    shared = batched(replace(models, classifier=stopping), Batcher(1, 64), lambda calls, rows: None)
    large = Caller(lambda: shared.classifier.logits(images))
    assert stopping.inside.wait(PATIENCE)
    small = Caller(lambda: shared.classifier.logits(images[:2])).once_it_waits()
    stopping.release.set()
    np.testing.assert_array_equal(large.result(), models.classifier.logits(images))
    _assert_equal((small.result(),), (models.classifier.logits(images[:2]),))
    assert stopping.counts == [128, 2, 128, 44]


def test_closing_the_bundle_refuses_what_waits_and_closes_the_backend(models: BundleModels, images: FloatArray) -> None:
    closed: list[bool] = []
    batcher = Batcher(1, 64)
    shared = batched(replace(models, close=lambda: closed.append(True)), batcher, lambda calls, rows: None)
    with occupied(batcher):
        waiting = Caller(lambda: shared.classifier.logits(images[:1])).once_it_waits()
        shared.close()
    assert isinstance(waiting.error(), BackendUnavailable)
    assert closed == [True]


def test_closing_waits_for_no_lock_since_a_garbage_collection_may_do_it_inside_one(models: BundleModels) -> None:
    batcher = Batcher(1, 64)
    shared = batched(models, batcher, lambda calls, rows: None)

    def close_inside() -> None:
        with batcher._lock:
            shared.close()

    Caller(close_inside).result()
    with pytest.raises(BackendUnavailable):
        shared.classifier.logits(np.zeros((1, 1, 28, 28), np.float32))


def test_a_bundle_without_gradients_stays_without(models: BundleModels) -> None:
    bare = replace(models, classifier_gradient=None, morph_gradients={})
    shared = batched(bare, Batcher(1, 64), lambda calls, rows: None)
    assert shared.classifier_gradient is None
    assert (shared.backend, shared.device) == (models.backend, models.device)
    assert shared.morphing("morphing") is None


@pytest.mark.parametrize("kind", KINDS)
def test_rows_spread_over_idle_slots_are_the_same_rows(models: BundleModels, asks: dict[str, Ask], kind: str) -> None:
    observed: list[tuple[int, int]] = []
    for at in (slice(0, 31), slice(0, 32), slice(0, 99), slice(0, 300)):
        batcher = Batcher(slots=3, batch_rows=64, spread_rows=16)  # a late piece of the call before would have a slot
        spread = batched(models, batcher, lambda *counts: observed.append(counts))
        for mine, theirs in zip(asks[kind](spread, at), asks[kind](models, at), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=PARITY)
    assert max(rows for _, rows in observed) == 31  # too few to be spread; all others came in pieces
    assert sum(rows for _, rows in observed) >= 31 + 32 + 99 + 300  # a late piece is computed twice


def test_a_large_call_of_unequal_arrays_is_refused_as_a_small_one(models: BundleModels, codes: FloatArray) -> None:
    spread = batched(models, Batcher(slots=3, batch_rows=64, spread_rows=16), lambda *counts: None)
    with pytest.raises(ShapeMismatch):
        spread.morph_gradients["morphing"].logit_gradient(codes, np.zeros((299, 10), np.float32))
