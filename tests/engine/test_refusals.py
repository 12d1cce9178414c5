"""What the engine refuses, and what it says of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from explaind.bundles import manifest, reference
from explaind.engine import Engine, support
from explaind.errors import ExplanationUnsupported, InvalidRequest, ModelNotFound, ParameterOutOfRange
from explaind.explanations import answer_size
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters, Reference
from explaind.requests import CompareRequest, ExplanationRequest, ImageInput, ScoreRequest, TraverseRequest

RANKING, SCORE, MASK = LatentRankingParameters(), AnomalyScoreParameters(), PathMaskParameters()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"latent_ranking": LatentRankingParameters(latent_space="nowhere")}, "latent_ranking.latent_space"),
        ({"latent_ranking": LatentRankingParameters(target_class=10)}, "latent_ranking.target_class"),
        ({"anomaly_score": AnomalyScoreParameters(level=1e-6)}, "anomaly_score.level"),
        ({"anomaly_score": AnomalyScoreParameters(level=float("nan"))}, "anomaly_score.level"),
        ({"path_mask": PathMaskParameters(other_class=10)}, "path_mask.other_class"),
        ({"path_mask": PathMaskParameters(self_class=3, other_class=3)}, "path_mask.other_class"),
        ({"path_mask": PathMaskParameters(step_count=-1)}, "path_mask.step_count"),
    ],
)
def test_parameters_out_of_range_name_their_field(
    engine: Engine, digit: ImageInput, asked: dict[str, object], field: str
) -> None:
    request = dataclasses.replace(ExplanationRequest(model="mnist", image=digit), **asked)  # type: ignore[arg-type]
    with pytest.raises(ParameterOutOfRange) as caught:
        engine.explain(request, Budget())
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"model": "emnist"}, ModelNotFound),
        ({"anomaly_score": AnomalyScoreParameters(level=1e-6)}, ParameterOutOfRange),
        ({"path_mask": PathMaskParameters(step_count=-1)}, ParameterOutOfRange),
    ],
)
def test_what_the_image_has_no_part_in_is_refused_without_it(
    engine: Engine, asked: dict[str, object], error: type[Exception]
) -> None:
    good = ExplanationRequest(model="mnist", image=ImageInput())
    engine.check(good, Budget())
    with pytest.raises(error):
        engine.check(dataclasses.replace(good, **asked), Budget())  # type: ignore[arg-type]


def test_what_has_just_been_checked_is_not_checked_again(
    engine: Engine, digit: ImageInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[ExplanationRequest] = []
    monkeypatch.setattr(support, "check", lambda bundle, request: checks.append(request))
    request = ExplanationRequest(model="mnist", image=digit)
    engine.explain(request, Budget(), checked=True)
    assert checks == []
    engine.explain(request, Budget())
    assert checks == [request]


def test_what_the_check_did_not_see_is_refused_by_the_work(engine: Engine, digit: ImageInput) -> None:
    request = ExplanationRequest(model="mnist", image=digit, anomaly_score=AnomalyScoreParameters(level=1e-6))
    with pytest.raises(ParameterOutOfRange) as caught:
        engine.explain(request, Budget(), checked=True)
    assert caught.value.field == "anomaly_score.level"


def test_a_path_that_no_answer_can_hold_is_refused_without_the_image(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_size, "MAX_BYTES", 50 * 28 * 28 * 4)
    asked = ExplanationRequest(model="mnist", image=ImageInput(), path_mask=PathMaskParameters(include_path=True))
    with pytest.raises(ParameterOutOfRange, match="one answer holds 50 images"):
        engine.check(asked, Budget())
    ranking = LatentRankingParameters(include_traversals=True)
    with pytest.raises(ParameterOutOfRange, match="10 strips of 10 images; one answer holds 5 of"):
        engine.check(dataclasses.replace(asked, path_mask=None, latent_ranking=ranking), Budget())


def test_unknown_models_and_versions(engine: Engine, digit: ImageInput) -> None:
    for model, version in (("emnist", ""), ("mnist", "2"), ("", "")):
        with pytest.raises(ModelNotFound):
            engine.explain(ExplanationRequest(model=model, version=version, image=digit), Budget())
    with pytest.raises(ModelNotFound):
        engine.describe("emnist")


def test_a_made_up_model_makes_no_series(engine: Engine, digit: ImageInput) -> None:
    with pytest.raises(ModelNotFound):
        engine.explain(ExplanationRequest(model="made-up", image=digit), Budget())
    assert not any("made-up" in str(family.samples) for family in engine.metrics.registry.collect())


def test_batches_have_a_size(open_engine: Callable[..., Engine], store: Path, digit: ImageInput) -> None:
    engine = open_engine(store, max_batch_images=2)
    engine.warm()
    for images, error in (((), InvalidRequest), ((digit,) * 3, ParameterOutOfRange)):
        with pytest.raises(error, match=r"no image|at most 2") as caught:
            engine.score(ScoreRequest(model="mnist", images=images), Budget())
        assert caught.value.field == "source"


def _without_statistics(store: Path) -> Path:
    """The same networks with forward graphs only and nothing known of the training set."""
    folder = store / "mnist/1"
    whole = manifest.read(folder)
    for graph in folder.glob("*gradient.onnx"):
        graph.unlink()
    networks = json.loads((folder / "networks.json").read_text())
    networks["graphs"] = [name for name in networks["graphs"] if "gradient" not in name]
    (folder / "networks.json").write_text(json.dumps(networks))
    reference.save(folder / "reference.npz", Reference(rankings={}, anomaly=None, morph=None))
    _redescribe(folder, whole.model_copy(update={"explanations": ("prediction",)}))
    return store


def _redescribe(folder: Path, described: manifest.Manifest) -> None:
    """The manifest of changed files: their digests as they are now."""
    files = {path.name: manifest.file_digest(path) for path in manifest.files_in(folder)}
    manifest.save(folder, described.model_copy(update={"files": files, "version": folder.name}))


def test_a_bundle_with_forward_graphs_alone_predicts(
    open_engine: Callable[..., Engine], own_store: Path, digit: ImageInput
) -> None:
    engine = open_engine(_without_statistics(own_store))
    engine.warm()
    assert engine.explain(ExplanationRequest(model="mnist", image=digit), Budget()).prediction.probability > 0.1
    for asked in ({"latent_ranking": RANKING}, {"anomaly_score": SCORE}, {"path_mask": MASK}):
        request = dataclasses.replace(ExplanationRequest(model="mnist", image=digit), **asked)  # type: ignore[arg-type]
        with pytest.raises(ExplanationUnsupported, match="it offers prediction") as caught:
            engine.explain(request, Budget())
        assert caught.value.metadata["offered"] == "prediction"
    with pytest.raises(ExplanationUnsupported):
        engine.score(ScoreRequest(model="mnist", images=(digit,)), Budget())
    with pytest.raises(ExplanationUnsupported):
        engine.compare(CompareRequest(model="mnist", image_a=digit, image_b=digit), Budget())
    with pytest.raises(ExplanationUnsupported):
        engine.traverse(TraverseRequest(model="mnist", image=digit), Budget())
    assert engine.describe("mnist").calibrations == ()
