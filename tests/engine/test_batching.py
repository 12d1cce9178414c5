"""Whole explanations whose calls were batched across requests, and what the engine batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.types import (
    AnomalyScoreParameters,
    Explanation,
    LatentRankingParameters,
    PathMaskParameters,
)
from explaind.requests import CostClass, ExplanationRequest, ImageInput, ScoreRequest
from tests.conftest import RealImages
from tests.engine.batching.stand_ins import PATIENCE, Caller
from tests.switched_backend import Switch

THREADS = 32
PARITY = 1e-4


def _asked(image: ImageInput) -> ExplanationRequest:
    return ExplanationRequest(
        model="mnist",
        image=image,
        latent_ranking=LatentRankingParameters(),
        anomaly_score=AnomalyScoreParameters(),
        path_mask=PathMaskParameters(),
    )


def _counted(engine: Engine, name: str) -> tuple[float, float]:
    """(batches, their sum)"""
    read = engine.metrics.registry.get_sample_value
    found = [read(f"explaind_batch_{name}_{part}", {"model": "mnist"}) for part in ("count", "sum")]
    return found[0] or 0.0, found[1] or 0.0


@pytest.fixture
def crowded(open_engine: Callable[..., Engine], store: Path) -> Engine:
    """One slot, so that 32 requests' calls must share."""
    engine = open_engine(store, compute_slots=1, batch_rows=64)
    engine.warm()
    return engine


def test_32_explanations_at_once_are_what_each_is_alone(
    crowded: Engine, engine: Engine, real_images: RealImages
) -> None:
    requests = [_asked(ImageInput(array=real_images.digits[n % 8][None])) for n in range(THREADS)]
    alone = [engine.explain(request, Budget()) for request in requests[:8]]
    start, classes = threading.Barrier(THREADS), list(CostClass)

    def explain(request: ExplanationRequest) -> Explanation:
        start.wait(PATIENCE)
        return crowded.explain(request, Budget())

    callers = [
        Caller(lambda request=request: explain(request), cost_class=classes[n % 2])
        for n, request in enumerate(requests)
    ]
    for n, caller in enumerate(callers):
        _assert_alike(caller.result(), alone[n % 8])
    batches, calls = _counted(crowded, "calls")
    assert calls > 1.5 * batches, "hardly any call was shared"


def _assert_alike(found: Explanation, expected: Explanation) -> None:
    np.testing.assert_allclose(found.prediction.logits, expected.prediction.logits, rtol=0, atol=PARITY)
    assert found.latent_ranking is not None and expected.latent_ranking is not None
    assert [each.factor for each in found.latent_ranking.latents] == [
        each.factor for each in expected.latent_ranking.latents
    ]
    np.testing.assert_allclose(
        [each.importance for each in found.latent_ranking.latents],
        [each.importance for each in expected.latent_ranking.latents],
        rtol=0,
        atol=PARITY,
    )
    assert found.anomaly is not None and expected.anomaly is not None
    np.testing.assert_allclose(found.anomaly.scores, expected.anomaly.scores, rtol=PARITY)
    mask, other = found.path_mask, expected.path_mask
    assert mask is not None and other is not None
    assert (mask.outcome, mask.other_class, mask.morph_steps) == (other.outcome, other.other_class, other.morph_steps)
    assert mask.objective == pytest.approx(other.objective, abs=PARITY)
    np.testing.assert_allclose(mask.attribution, other.attribution, rtol=0, atol=PARITY)
    np.testing.assert_allclose(mask.other_image, other.other_image, rtol=0, atol=PARITY)


def test_a_spoilt_request_among_good_ones_is_the_only_one_refused(
    crowded: Engine, engine: Engine, real_images: RealImages
) -> None:
    good = ScoreRequest(model="mnist", images=(ImageInput(array=real_images.digits[0][None]),))
    spoilt = ScoreRequest(model="mnist", images=(ImageInput(array=np.full((1, 28, 28), np.nan, np.float32)),))
    callers = [Caller(lambda each=each: crowded.score(each, Budget())) for each in (good, spoilt) * 8]
    expected = engine.score(good, Budget()).batch
    assert expected is not None
    for asked, caller in zip((good, spoilt) * 8, callers, strict=True):
        result = caller.result()
        assert len(result.errors) == (asked is spoilt)
        if result.batch is not None:
            np.testing.assert_allclose(result.batch.scores, expected.scores, rtol=PARITY)


def test_every_call_of_a_backend_in_this_process_is_counted_with_its_rows(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    engine = open_engine(store)
    engine.warm()
    (batches, calls), (_, rows) = _counted(engine, "calls"), _counted(engine, "rows")
    engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())
    engine.score(ScoreRequest(model="mnist", images=(digit,) * 3), Budget())
    assert _counted(engine, "calls") == (batches + 2, calls + 2)
    assert _counted(engine, "rows") == (batches + 2, rows + 1 + 3)


def test_a_remote_backend_batches_on_its_own_side(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    engine = open_engine(store, Switch("torchserve"))
    engine.warm()
    engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())
    assert _counted(engine, "calls") == (0, 0)
