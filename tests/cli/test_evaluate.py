"""`explaind evaluate` from the shell's side."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import ROOT, STORE, Run
from tests.training.evaluation.conftest import copy_bundle, sign_recipe


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return copy_bundle(STORE, tmp_path / "store")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    with np.load(ROOT / "tests/data/images.npz") as archive:
        x, y = archive["mnist"], archive["mnist_labels"]
    np.savez(folder / "mnist.npz", x_train=x[:180], y_train=y[:180], x_test=x[180:], y_test=y[180:])
    return folder


def test_one_section_is_measured_and_reported(run: Run, bundle: Path, data: Path, tmp_path: Path) -> None:
    results, runs = tmp_path / "results", tmp_path / "runs"
    result = run(
        "evaluate", bundle, "--data", data, "--results", results, "--training-runs", runs,
        "--section", "classification", "--quick",
    )  # fmt: skip
    assert "[1/1] classification: done in" in result.stderr and "classifier test accuracy" in result.stdout
    assert not (bundle / "evaluation.json").exists()
    evaluation = json.loads((runs / "quick-results/mnist/evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["classification"]["test_images"] == 120
    assert result.exit_code == (0 if all(bar["passed"] for bar in evaluation["bars"]) else 1)
    assert "## The classifier and the reconstructions" in (results / "mnist/README.md").read_text(encoding="utf-8")


def test_a_section_that_fails_ends_the_command_with_1(run: Run, bundle: Path, data: Path, tmp_path: Path) -> None:
    """The recipe names a judge, and the training run that had it is gone."""
    recipe = bundle / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    judge = re.search(r"^\[classifier\].*?(?=^\[)", text, re.MULTILINE | re.DOTALL)
    assert judge is not None
    recipe.write_text(text + judge[0].replace("[classifier]", "[judge]"), encoding="utf-8")
    sign_recipe(bundle)
    result = run(
        "evaluate", bundle, "--data", data, "--results", tmp_path / "results", "--training-runs", tmp_path / "none",
        "--section", "classification", "--section", "latents", "--quick",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "section classification failed" in result.stderr and "[2/2] latents: done" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bundle_of_another_recipe_is_not_evaluated(run: Run, bundle: Path, data: Path, tmp_path: Path) -> None:
    """Its divisions may be others, so images that it was fitted on would be evaluated."""
    recipe = bundle / "recipe.toml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("split_seed = 1", "split_seed = 2"), encoding="utf-8")
    result = run("evaluate", bundle, "--data", data, "--results", tmp_path)
    assert result.exit_code == 1 and "was built from another recipe" in result.stderr
    assert f"explaind train {bundle}" in result.stderr.replace("\n", "")


def test_an_unknown_section_names_those_there_are(run: Run, bundle: Path, data: Path, tmp_path: Path) -> None:
    result = run("evaluate", bundle, "--data", data, "--results", tmp_path, "--section", "moon")
    assert result.exit_code == 1 and "classification, latents, rankings" in result.stderr


def test_the_table_is_written_without_measuring(run: Run, tmp_path: Path) -> None:
    result = run("evaluate", "--table", "--results", tmp_path)
    assert result.exit_code == 0 and str(tmp_path / "README.md") in result.stdout.replace("\n", "")
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("# The sources' figures, and ours")


@pytest.mark.parametrize("arguments", [(), ("--table", STORE / "mnist")])
def test_a_bundle_or_the_table_and_not_both(run: Run, arguments: tuple[object, ...]) -> None:
    assert run("evaluate", *arguments).exit_code == 2
