from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from explaind.bundles import reference as reference_file
from explaind.errors import BundleInvalid, ConfigurationError
from explaind.training.datasets import load_splits
from explaind.training.fit import deterministic
from explaind.training.progress import LogReporter
from explaind.training.recipe import Recipe
from explaind.training.reference import build_reference, known_outliers
from explaind.training.train import _take_reference, load_trained, reference_record, train, train_networks
from explaind.training.trained import Trained


def _train(recipe: Recipe, data: Path, run: Path, **options: bool) -> tuple[Trained, str]:
    log = io.StringIO()
    return train_networks(recipe, load_splits(recipe.data, data), run, LogReporter(log), **options), log.getvalue()


@pytest.fixture(scope="module")
def run(recipe: Recipe, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / recipe.name
    _train(recipe, data, folder)
    return folder


def _weights(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(run.glob("*.safetensors"))}


def test_networks_are_folded_named_and_in_eval_mode(run: Path) -> None:
    trained = load_trained(run)
    names = trained.parameters()
    assert {"classifier.0.weight", "morphing.encoder.mean.weight", "ranking.decoder.0.bias"} <= names.keys()
    assert not any("running_mean" in name for name in names)
    assert set(trained.spaces) == {"morphing", "ranking"}
    assert trained.judge is not None
    encoder, decoder = trained.spaces["ranking"]
    assert not any(module.training for module in (trained.classifier, trained.judge, encoder, decoder))
    with torch.no_grad():
        mean, deviation = encoder(torch.rand(2, 1, 28, 28))
        assert mean.shape == deviation.shape == (2, 12)
        assert decoder(mean).shape == (2, 1, 28, 28)


def test_the_fit_learns(run: Path) -> None:
    records = load_trained(run).records
    assert records["classifier"].figures["test_accuracy"] > 0.5  # chance is 0.1
    assert records["morphing"].validation[-1] < records["morphing"].validation[0]


def test_a_rebuild_is_the_same_to_the_bit(recipe: Recipe, data: Path, run: Path, tmp_path: Path) -> None:
    _train(recipe, data, tmp_path)
    assert _weights(tmp_path) == _weights(run)
    assert len(_weights(run)) == 4


def test_another_seed_gives_other_weights(recipe: Recipe, data: Path, run: Path, tmp_path: Path) -> None:
    other = recipe.model_copy(update={"seed": 4, "spaces": {}, "judge": None})
    _train(other, data, tmp_path)
    assert _weights(tmp_path)["classifier.safetensors"] != _weights(run)["classifier.safetensors"]


def test_only_what_changed_is_fitted_again(recipe: Recipe, data: Path, run: Path, tmp_path: Path) -> None:
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    _, log = _train(recipe, data, tmp_path)
    assert log == ""
    ranking = recipe.spaces["ranking"].model_copy(update={"beta": 5.0})
    changed = recipe.model_copy(update={"spaces": {**recipe.spaces, "ranking": ranking}})
    _, log = _train(changed, data, tmp_path)
    assert "ranking: started" in log
    assert "classifier: started" not in log
    _, log = _train(recipe.model_copy(update={"spaces": {}, "judge": None}), data, tmp_path, fresh=True)
    assert "classifier: finished" in log


def test_a_space_that_the_recipe_has_no_more_is_left_alone(
    recipe: Recipe, data: Path, run: Path, tmp_path: Path
) -> None:
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    renamed = {"rebuilding": recipe.spaces["morphing"]}
    trained, _ = _train(recipe.model_copy(update={"spaces": renamed}), data, tmp_path)
    assert set(trained.spaces) == {"rebuilding"}
    assert (tmp_path / "morphing.safetensors").exists()


def test_statistics_are_taken_again_for_other_images_to_calibrate_on(
    recipe: Recipe, data: Path, run: Path, tmp_path: Path
) -> None:
    splits, trained = load_splits(recipe.data, data), load_trained(run)
    other = replace(splits, calibration=splits.evaluation, evaluation=splits.calibration)
    outliers, digests = known_outliers(recipe, data), []
    for part in (splits, splits, other):
        log = io.StringIO()
        _take_reference(recipe, trained, part, outliers, tmp_path, LogReporter(log))
        digests.append((reference_record(tmp_path)["digest"], log.getvalue() != ""))
    assert [taken for _, taken in digests] == [True, False, True]
    assert digests[0][0] == digests[1][0] != digests[2][0]


def test_a_class_without_reference_images_has_the_mean_of_all(recipe: Recipe, data: Path, run: Path) -> None:
    splits = load_splits(recipe.data, data)
    eight = splits.train.take(np.flatnonzero(splits.train.labels != 3))
    built = build_reference(
        recipe,
        load_trained(run),
        replace(splits, train=eight),
        known_outliers(recipe, data),
        LogReporter(io.StringIO()),
    ).reference
    assert built.morph is not None
    norms = built.morph.class_norms
    others = np.delete(norms, 3)
    assert np.isfinite(norms).all() and others.min() < norms[3] < others.max()


def test_damaged_weights_are_named(run: Path, tmp_path: Path) -> None:
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "ranking.safetensors").write_bytes(b"short")
    with pytest.raises(BundleInvalid, match=r"ranking\.safetensors are missing or damaged"):
        load_trained(tmp_path)
    (tmp_path / "classifier.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleInvalid, match=r"classifier\.json is damaged"):
        load_trained(tmp_path)


def test_an_empty_run_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="run `explaind train` first"):
        load_trained(tmp_path)


def test_torchs_settings_are_put_back() -> None:
    state = torch.random.get_rng_state()
    with deterministic(seed=5, threads=1):
        assert torch.are_deterministic_algorithms_enabled()
        torch.rand(3)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_reference_has_the_services_shapes(recipe: Recipe, data: Path, run: Path, tmp_path: Path) -> None:
    splits = load_splits(recipe.data, data)
    built = build_reference(recipe, load_trained(run), splits, known_outliers(recipe, data), LogReporter(io.StringIO()))
    reference_file.save(tmp_path / "reference.npz", built.reference)
    reference = reference_file.load(tmp_path / "reference.npz")
    ranking = reference.rankings["ranking"]
    assert ranking.bin_counts.sum(axis=1).tolist() == [300] * 12
    assert ranking.sobol_total.shape == (10, 12)
    assert ranking.forest is not None
    assert len(ranking.forest.offsets) == 5
    assert reference.rankings["morphing"].forest is None
    assert built.figures["ranking"]["unbounded_trees"] in (3.0, 5.0)
    assert reference.anomaly is not None
    assert reference.anomaly.logistic is not None
    assert len(reference.anomaly.mahalanobis.calibration) == len(reference.anomaly.rebuilt.calibration) == 100
    assert reference.morph is not None
    assert (reference.morph.class_norms > 0).all()


def test_a_run_folder_that_cannot_be_written_is_one_sentence(data: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"a file, not a folder")
    shipped = Path(__file__).parents[2] / "model_store" / "mnist" / "recipe.toml"
    text = shipped.read_text(encoding="utf-8")
    small = text.replace("validation = 5000", "validation = 100").replace("calibration = 5000", "calibration = 100")
    (tmp_path / "recipe.toml").write_text(small, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        train(tmp_path, data=data, runs=tmp_path / "runs")


def test_calibration_images_decide_nothing_else(recipe: Recipe, data: Path, run: Path) -> None:
    """Other calibration images change the calibration and no fit."""
    splits, trained = load_splits(recipe.data, data), load_trained(run)
    swapped = type(splits)(splits.train, splits.validation, splits.evaluation, splits.calibration)
    first, second = (
        build_reference(
            recipe, trained, part, known_outliers(recipe, data), LogReporter(io.StringIO())
        ).reference.anomaly
        for part in (splits, swapped)
    )
    assert first is not None
    assert second is not None
    assert np.array_equal(first.mahalanobis.precision, second.mahalanobis.precision)
    assert not np.array_equal(first.mahalanobis.calibration, second.mahalanobis.calibration)
