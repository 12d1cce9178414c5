"""The TorchServe demo: what it calls agreement, and one whole run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from explaind.cli.demo_torchserve import MASK, RANKING, agreement, demo_torchserve
from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters, Explanation
from explaind.requests import ExplanationRequest, ImageInput
from tests.conftest import ROOT, RealImages


@pytest.fixture(scope="module")
def explanation(engine: Engine, real_images: RealImages) -> Explanation:
    request = ExplanationRequest(
        model="mnist",
        image=ImageInput(array=real_images.digits[:1]),
        latent_ranking=RANKING,
        anomaly_score=AnomalyScoreParameters(),
        path_mask=MASK,
    )
    return engine.explain(request, Budget())


def test_an_explanation_agrees_with_itself(explanation: Explanation) -> None:
    rows = agreement(explanation, explanation)
    assert [row.what for row in rows] == ["class", "top 5 latents", "p-value", "path mask"]
    assert all(row.agrees for row in rows)


def _another(explanation: Explanation, what: str) -> Explanation:
    prediction, ranking = explanation.prediction, explanation.latent_ranking
    anomaly, mask = explanation.anomaly, explanation.path_mask
    assert ranking and anomaly and mask
    if what == "class":
        other = (prediction.class_index + 1) % 10
        return dataclasses.replace(explanation, prediction=dataclasses.replace(prediction, class_index=other))
    if what == "top 5 latents":
        turned = dataclasses.replace(ranking, latents=ranking.latents[::-1])
        return dataclasses.replace(explanation, latent_ranking=turned)
    if what == "p-value":
        return dataclasses.replace(explanation, anomaly=dataclasses.replace(anomaly, p_values=anomaly.p_values + 0.002))
    shifted = dataclasses.replace(mask, mask=np.roll(mask.mask, 1, axis=1))
    return dataclasses.replace(explanation, path_mask=shifted)


@pytest.mark.parametrize("what", ["class", "top 5 latents", "p-value", "path mask"])
def test_each_difference_is_seen_where_it_is(explanation: Explanation, what: str) -> None:
    rows = agreement(explanation, _another(explanation, what))
    assert [row.what for row in rows if not row.agrees] == [what]


@pytest.mark.torchserve
def test_the_demo_agrees_and_says_what_a_hop_costs(capsys: pytest.CaptureFixture[str]) -> None:
    demo_torchserve(ROOT / "model_store" / "mnist")
    shown = capsys.readouterr().out
    assert shown.count("✓") == 4
    assert "✗" not in shown
    assert "the hop's part" in shown
