"""The study on dSprites, on a small file of the same format: fitted once each, resumed, summed up, and shown."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explaind.errors import ConfigurationError, DataSetInvalid
from explaind.training.progress import LogReporter
from explaind.training.studies.sprite_fits import (
    OBJECTIVES,
    Plan,
    StudyImages,
    fit_all,
    load_networks,
    load_results,
    run_name,
    study_images,
)
from explaind.training.studies.sprite_page import summarise, write_page

PLAN = Plan(betas=(4.0,), seeds=(1,), images=128, seen=300, epochs=2)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> StudyImages:
    """3 shapes × 2 scales × 2 orientations × 12 columns × 12 rows: bars whose length and place tell them."""
    folder = tmp_path_factory.mktemp("sprites")
    factors = np.stack(np.meshgrid(*map(np.arange, (1, 3, 2, 2, 12, 12)), indexing="ij"), axis=-1).reshape(-1, 6)
    pictures = np.zeros((len(factors), 64, 64), np.uint8)
    for picture, (_, shape, scale, turned, x, y) in zip(pictures, factors, strict=True):
        height, width = (2 + shape, 5 + 6 * scale)[:: -1 if turned else 1]
        picture[4 * y : 4 * y + height, 4 * x : 4 * x + width] = 1
    np.savez(folder / "dsprites.npz", imgs=pictures, latents_classes=factors)
    return study_images(folder, PLAN)


@pytest.fixture(scope="module")
def runs(images: StudyImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    fit_all(PLAN, images, folder, LogReporter(io.StringIO()))
    return folder


def test_the_parts_share_no_image(images: StudyImages) -> None:
    parts = [{image.tobytes() for image in part.images} for part in (images.train, images.seen, images.validation)]
    assert [len(part) for part in (images.train, images.seen)] == [128, 300]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert np.array_equal(images.factors[:, 0], images.seen.labels)


def test_each_objective_is_fitted_and_scored(runs: Path) -> None:
    results = load_results(PLAN, runs)
    assert [result["objective"] for result in results] == list(OBJECTIVES)
    for result in results:
        assert 0 <= result["mig"] <= 1
        assert np.shape(result["information"]) == (10, 5)
        assert result["reconstruction"] > 0
        assert load_networks(runs, 4.0, 1, result["objective"]).decoder is not None
    assert results[0]["reconstruction"] != results[1]["reconstruction"]
    assert not list(runs.glob("*.checkpoint"))


def test_what_is_finished_is_not_fitted_again(images: StudyImages, runs: Path) -> None:
    log, calls = io.StringIO(), list[int]()
    fit_all(PLAN, images, runs, LogReporter(log), after_each=lambda: calls.append(1))
    assert log.getvalue() == ""
    assert calls == []


def test_one_more_seed_keeps_the_others_and_other_settings_do_not(runs: Path) -> None:
    assert len(load_results(replace(PLAN, seeds=(1, 2), betas=(4.0, 8.0)), runs)) == 2
    assert load_results(replace(PLAN, epochs=3), runs) == []


def test_a_damaged_result_is_measured_again_to_the_same_figures(
    images: StudyImages, runs: Path, tmp_path: Path
) -> None:
    name = run_name(4.0, 1, "beta")
    (tmp_path / f"{name}.results.json").write_text('{"digest": ')
    fit_all(PLAN, images, tmp_path, LogReporter(io.StringIO()))
    first, again = (json.loads((folder / f"{name}.results.json").read_text()) for folder in (runs, tmp_path))
    assert {**first, "cpu_seconds": 0} == {**again, "cpu_seconds": 0}


def test_a_sample_larger_than_the_set_is_named(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "dsprites.npz", imgs=np.zeros((50, 64, 64), np.uint8), latents_classes=np.zeros((50, 6), np.int64)
    )
    with pytest.raises(DataSetInvalid, match="dsprites has 50 images"):
        study_images(tmp_path, PLAN)
    with pytest.raises(DataSetInvalid, match=r"dsprites\.npz"):
        study_images(tmp_path / "elsewhere", PLAN)


def test_a_folder_that_cannot_be_written_is_named(images: StudyImages, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        fit_all(PLAN, images, file / "runs", LogReporter(io.StringIO()))


def _network(objective: str, seed: int, mig: float) -> dict[str, object]:
    zeros = dict.fromkeys(
        ("mig_of_means", "sap", "factor_vae", "reconstruction", "kl", "used_latents"), 0.0
    )  # fmt: skip
    dci = dict.fromkeys(("disentanglement", "completeness", "informativeness"), 0.5)
    return {**zeros, "objective": objective, "beta": 6.0, "seed": seed, "mig": mig, "dci": dci}


def test_the_summary_has_mean_spread_and_pairs() -> None:
    networks = [
        _network("beta", 1, 0.1), _network("beta_tc", 1, 0.3), _network("beta", 2, 0.2), _network("beta_tc", 2, 0.1),
        _network("beta", 3, 0.3),
    ]  # fmt: skip
    table = summarise(networks)["6"]
    assert table["beta"]["seeds"] == [1, 2, 3]
    assert table["beta"]["mig"]["mean"] == pytest.approx(0.2)
    assert table["beta"]["mig"]["deviation"] == pytest.approx(0.1)
    assert table["beta_tc"]["mig"]["values"] == [0.3, 0.1]
    assert table["beta_tc"]["disentanglement"]["mean"] == pytest.approx(0.5)
    assert table["pairs"] == {"higher": 1, "of": 2}
    assert summarise(networks[:1])["6"]["beta"]["mig"]["deviation"] is None


def test_the_page_says_which_is_higher_and_at_what_budget(images: StudyImages, runs: Path, tmp_path: Path) -> None:
    write_page(PLAN, images, runs, tmp_path / "page")
    text = (tmp_path / "page" / "README.md").read_text(encoding="utf-8")
    plain, weighted = load_results(PLAN, runs)
    assert ("**not** higher than" in text) == (weighted["mig"] <= plain["mig"])
    assert "4 steps of 64 images each" in text
    content = json.loads((tmp_path / "page" / "results.json").read_text(encoding="utf-8"))
    assert content["summary"]["4"]["beta"]["mig"]["mean"] == plain["mig"]
    assert "β-VAE of seed 1 uses no latent" in text  # after four steps
    assert (tmp_path / "page" / "scores_beta_4.png").stat().st_size < 250_000
