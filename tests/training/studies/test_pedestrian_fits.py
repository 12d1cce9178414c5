"""The study of [LR]'s VAEs, its smallest network on a small archive: fitted once, measured, shown, not fitted again."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from explaind.training.datasets import Splits
from explaind.training.progress import LogReporter
from explaind.training.studies.pedestrian_figures import against_the_source
from explaind.training.studies.pedestrian_fits import (
    MODELS,
    QUICK,
    Plan,
    fit_all,
    load_autoencoder,
    load_results,
    study_splits,
    unseen,
)
from explaind.training.studies.pedestrian_page import write_page

NAMES = ("S1",)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(7)
    crops = generator.integers(20, 200, (480, 1, 1, 1)) + generator.integers(0, 50, (480, 96, 48, 3))
    np.savez(folder / "pedestrians.npz", x=crops.astype(np.uint8), frame=np.arange(480) * 2)
    return study_splits(folder, QUICK)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, splits: Splits) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    fit_all(QUICK, splits, folder, LogReporter(io.StringIO()), names=NAMES)
    return folder


def test_a_model_is_measured_on_images_that_decided_nothing(runs: Path, splits: Splits) -> None:
    result = load_results(QUICK, runs)["S1"]
    images = unseen(splits)
    assert result["unseen_images"] == len(images) == len(splits.calibration) + len(splits.evaluation)
    assert not {image.tobytes() for image in splits.train.images} & {
        image.tobytes() for image in np.concatenate([splits.calibration.images, splits.evaluation.images])
    }
    autoencoder = load_autoencoder(runs, "S1")
    mean, _ = autoencoder.encode(images)
    error = np.abs(autoencoder.decode(mean) - images).mean() / (images.max() - images.min())
    assert result["nmae"] == pytest.approx(float(error), rel=1e-4)
    assert 0 <= result["used_latents"] <= result["latents"] == 32
    assert result["excess"] > 0
    assert result["loss"] == pytest.approx(result["cross_entropy"] + result["kl"])
    assert result["source"]["loss"] == 15310


def test_what_is_finished_is_not_fitted_again(runs: Path, splits: Splits) -> None:
    log = io.StringIO()
    fit_all(QUICK, splits, runs, LogReporter(log), names=NAMES)
    assert log.getvalue() == ""
    longer = Plan(epochs={**QUICK.epochs, "s": 2}, images=QUICK.images)
    assert load_results(longer, runs) == {}
    wider_only = Plan(epochs={**QUICK.epochs, "l": 2}, images=QUICK.images)
    assert load_results(wider_only, runs).keys() == {"S1"}
    assert not list(runs.glob("*.checkpoint"))


def test_the_page_says_what_is_missing_and_where_the_figures_are(runs: Path, splits: Splits, tmp_path: Path) -> None:
    write_page(QUICK, splits, runs, tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Not yet fitted: S2, M1" in text
    assert "quick variant" in text
    assert "| S1 | 1 |" in text
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["models"]["S1"]
    assert kept["latents"] == 32
    assert "digest" not in kept
    for name in ("against_the_source", "reconstructions"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
        assert f"{name}.png" in text


def test_nothing_finished_writes_no_page(splits: Splits, tmp_path: Path) -> None:
    write_page(QUICK, splits, tmp_path / "none", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_the_figure_of_all_models_clips_no_label() -> None:
    results = {
        name: {"nmae": 0.05, "used_latents": 12, "latents": model.latents, "beta": model.beta,
               "source": {"nmae": model.source.nmae, "used_latents": model.source.used_latents}}
        for name, model in MODELS.items()
    }  # fmt: skip
    figure = against_the_source(results)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    width, height = canvas.get_width_height()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)
        assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
