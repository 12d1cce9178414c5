"""The engine over the real demo bundle: answers, refusals, deadlines, fallback, and versions that come and go."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from explaind.bundles import manifest, reference
from explaind.engine import Engine
from explaind.errors import (
    BackendUnavailable,
    BundleInvalid,
    Cancelled,
    ConfigurationError,
    DeadlineTooShort,
    ExplanationUnsupported,
    ImageUndecodable,
    ModelLoading,
    ModelNotFound,
    ParameterOutOfRange,
    ShapeMismatch,
)
from explaind.explanations.budget import Budget
from explaind.explanations.types import (
    AnomalyScoreParameters,
    Detector,
    LatentRankingParameters,
    PathMaskOutcome,
    PathMaskParameters,
    RankingMethod,
    RankingScope,
    Reference,
    Solver,
)
from explaind.metrics import Metrics
from explaind.requests import CostClass, ExplanationRequest, ImageInput, ScoreRequest
from explaind.settings import Settings
from tests.conftest import RealImages
from tests.switched_backend import Switch

RANKING, SCORE, MASK = LatentRankingParameters(), AnomalyScoreParameters(), PathMaskParameters()


def _image(pixels: np.ndarray) -> ImageInput:
    return ImageInput(array=pixels[np.newaxis])


@pytest.fixture
def digit(real_images: RealImages) -> ImageInput:
    return _image(real_images.digits[0])


@pytest.fixture
def open_engine() -> Iterator[Callable[..., Engine]]:
    """Engines over a store with backends of the test's own; closed at the end."""
    opened: list[Engine] = []

    def build(store: Path, *switches: Switch, **settings: object) -> Engine:
        available = {switch.name: switch.open_bundle for switch in switches or (Switch(),)}
        configured = Settings.model_validate({"model_store": store, "reload_seconds": 0, **settings})
        opened.append(Engine(configured, Metrics(CollectorRegistry()), available))
        return opened[-1]

    yield build
    for engine in opened:
        engine.close()


def _sample(engine: Engine, name: str, **labels: str) -> float:
    return engine.metrics.registry.get_sample_value(name, labels) or 0.0


# ---- answers --------------------------------------------------------------------------------------------------


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
        ("decode", ""), ("predict", "onnx"), ("latent_ranking", "onnx"), ("anomaly_score", "onnx"),
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


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, CostClass.FAST),
        ({"latent_ranking": RANKING, "anomaly_score": SCORE}, CostClass.FAST),
        ({"path_mask": MASK}, CostClass.SLOW),
        ({"latent_ranking": LatentRankingParameters(method=RankingMethod.SOBOL)}, CostClass.SLOW),
        (
            {"latent_ranking": LatentRankingParameters(method=RankingMethod.SOBOL, scope=RankingScope.GLOBAL)},
            CostClass.FAST,
        ),
    ],
)
def test_cost_classes(digit: ImageInput, asked: dict[str, object], expected: CostClass) -> None:
    assert Engine.cost_class(dataclasses.replace(ExplanationRequest(model="mnist", image=digit), **asked)) is expected  # type: ignore[arg-type]


# ---- refusals -------------------------------------------------------------------------------------------------


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
    for images in ((), (digit,) * 3):
        with pytest.raises(ParameterOutOfRange, match="from 1 to 2") as caught:
            engine.score(ScoreRequest(model="mnist", images=images), Budget())
        assert caught.value.field == "images"


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
    assert engine.describe("mnist").calibrations == ()


# ---- deadlines and cancellation -------------------------------------------------------------------------------


def test_cancelled_before_and_within(
    engine: Engine, open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    budget = Budget()
    switch = Switch()
    cancelling = open_engine(store, switch)
    cancelling.warm()
    switch.before = budget.cancel
    request = ExplanationRequest(model="mnist", image=digit, path_mask=PathMaskParameters(solver=Solver.REFERENCE))
    with pytest.raises(Cancelled):
        cancelling.explain(request, budget)
    with pytest.raises(Cancelled):
        engine.explain(request, budget)
    with pytest.raises(Cancelled):
        engine.score(ScoreRequest(model="mnist", images=(digit,)), budget)


def test_a_deadline_that_has_passed(engine: Engine, digit: ImageInput) -> None:
    late = Budget(deadline=time.monotonic() - 1)
    with pytest.raises(DeadlineTooShort) as caught:
        engine.explain(ExplanationRequest(model="mnist", image=digit), late)
    assert "estimate_seconds" in caught.value.metadata
    with pytest.raises(DeadlineTooShort):
        engine.score(ScoreRequest(model="mnist", images=(digit,)), late)


def test_once_sobol_is_known_to_take_long_a_short_deadline_is_refused_at_once(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    switch = Switch()
    engine = open_engine(store, switch)
    engine.warm()
    sobol = ExplanationRequest(
        model="mnist", image=digit, latent_ranking=LatentRankingParameters(method=RankingMethod.SOBOL)
    )
    for _ in range(5):
        engine.explain(sobol, Budget())
    switch.calls = 0
    with pytest.raises(DeadlineTooShort) as caught:
        engine.explain(sobol, Budget(deadline=time.monotonic() + 0.002))
    assert float(caught.value.metadata["estimate_seconds"]) > 0.002
    assert switch.calls == 0, "nothing was computed"


def test_a_path_mask_near_its_deadline_is_the_best_so_far(engine: Engine, digit: ImageInput) -> None:
    request = ExplanationRequest(model="mnist", image=digit, path_mask=PathMaskParameters(solver=Solver.REFERENCE))
    answer = engine.explain(request, Budget(deadline=time.monotonic() + 1.5))
    assert answer.path_mask is not None
    assert answer.path_mask.outcome in (PathMaskOutcome.BEST_SO_FAR, PathMaskOutcome.NO_MORPH_FOUND)


# ---- backends -------------------------------------------------------------------------------------------------


def test_a_backend_that_dies_hands_the_whole_explanation_on(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    first = Switch("torchserve")
    engine = open_engine(store, first, Switch("onnx"))
    engine.warm()
    first.on = False
    request = ExplanationRequest(model="mnist", image=digit, latent_ranking=RANKING, anomaly_score=SCORE)
    answer = engine.explain(request, Budget())
    assert {timing.backend for timing in answer.timings} == {"", "onnx"}
    labels = {"from": "torchserve", "to": "onnx", "reason": "worker_died"}
    assert _sample(engine, "explaind_backend_fallback_total", **labels) == 1
    assert [(state.name, state.alive) for state in engine.backend_states()] == [("torchserve", False), ("onnx", True)]


def test_a_backend_that_recovers_is_found_by_itself(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    switch = Switch()
    engine = open_engine(store, switch)
    engine.warm()
    switch.on = False
    with pytest.raises(BackendUnavailable) as caught:
        engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())
    assert caught.value.retry_after > 0
    switch.on = True
    until = time.monotonic() + 30
    while not engine.backend_states()[0].alive and time.monotonic() < until:
        time.sleep(0.05)
    engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())


def test_until_a_backend_lives_the_engine_is_not_warm(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    switch = Switch(opens=False)
    engine = open_engine(store, switch)
    with pytest.raises(ModelLoading):
        engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())
    with pytest.raises(BackendUnavailable):
        engine.warm()
    assert not engine.backend_states()[0].alive
    switch.opens = True
    engine.warm()
    assert engine.backend_states()[0].alive


def test_a_bundle_for_other_backends_says_which(open_engine: Callable[..., Engine], store: Path) -> None:
    with pytest.raises(ConfigurationError, match="for the backends onnx, torchserve, torch, configured are tensorrt"):
        open_engine(store, Switch("tensorrt")).warm()


# ---- the model store ------------------------------------------------------------------------------------------


def test_stores_that_cannot_be_served(open_engine: Callable[..., Engine], own_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no folder: name one with --model-store"):
        Engine.open(Settings(model_store=tmp_path / "no"), Metrics(CollectorRegistry()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="holds no bundle: build one with `explaind train`"):
        open_engine(tmp_path / "empty").warm()
    (own_store / "mnist/1/classifier.onnx").write_bytes(b"altered")
    with pytest.raises(BundleInvalid, match=r"classifier\.onnx was altered"):
        open_engine(own_store).warm()


def _copy(store: Path, version: str) -> Path:
    """Another version of the same content, in place at once."""
    hidden = store / "mnist" / f".{version}"
    shutil.copytree(store / "mnist/1", hidden)
    folder = store / "mnist" / version
    described = manifest.read(hidden)
    files = {path.name: manifest.file_digest(path) for path in hidden.iterdir() if path.name != manifest.FILE_NAME}
    manifest.save(hidden, described.model_copy(update={"files": files, "version": version}))
    return hidden.rename(folder)


def test_a_new_version_is_served_while_requests_go_on_and_goes_when_removed(
    open_engine: Callable[..., Engine], own_store: Path, digit: ImageInput
) -> None:
    engine = open_engine(own_store, reload_seconds=0.05)
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit, anomaly_score=SCORE)
    seen: set[str] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen.add(engine.explain(request, Budget()).model_version)

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask)
        new = _copy(own_store, "2")
        _wait(lambda: "2" in seen)
        shutil.rmtree(new)
        _wait(lambda: engine.list_models()[0].versions == ("1",))
        stop.set()
        asking.result(30)
    assert engine.explain(request, Budget()).model_version == "1"


def test_a_broken_new_version_leaves_the_old_one(
    open_engine: Callable[..., Engine], own_store: Path, digit: ImageInput
) -> None:
    engine = open_engine(own_store)
    engine.warm()
    (_copy(own_store, "2") / "reference.npz").write_bytes(b"half")
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit)
    assert engine.explain(request, Budget()).model_version == "1"
    with pytest.raises(ModelNotFound, match="it has 1"):
        engine.explain(dataclasses.replace(request, version="2"), Budget())


def test_files_cut_short_while_they_are_served_do_no_harm(
    open_engine: Callable[..., Engine], own_store: Path, digit: ImageInput
) -> None:
    engine = open_engine(own_store)
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit, anomaly_score=SCORE, path_mask=MASK)
    before = engine.explain(request, Budget())
    for path in (own_store / "mnist/1").iterdir():
        os.truncate(path, 10)
    engine.warm()
    after = engine.explain(request, Budget())
    assert after.prediction.probability == before.prediction.probability
    assert after.bundle_digest == before.bundle_digest


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)
