from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import STORE, png, width_of

Run = Callable[..., Any]


def test_terminal_says_what_it_is(run: Run, digit: Path) -> None:
    result = run("explain", digit)
    assert result.exit_code == 0, result.stderr
    assert "mnist reads this image as" in result.stdout
    assert "training data (p =" in result.stdout or "anomalous (p =" in result.stdout
    assert "What drives" in result.stdout and "On a path from" in result.stdout


def test_in_process_and_over_grpc_say_the_same(run: Run, digit: Path, address: str) -> None:
    here = json.loads(run("explain", digit, "--json").stdout)
    there = json.loads(run("explain", digit, "--json", "--server", address).stdout)
    for answer in (here, there):
        for changing in ("timings", "request_id", "time"):
            answer["provenance"].pop(changing, None)
    assert here == there
    assert {"prediction", "latent_ranking", "anomaly_score", "path_mask", "provenance"} <= here.keys()


def test_only_what_is_asked_is_answered(run: Run, digit: Path) -> None:
    answer = json.loads(run("explain", digit, "--json", "--no-path-mask", "--no-ranking").stdout)
    assert "anomaly_score" in answer and not {"path_mask", "latent_ranking"} & answer.keys()


def test_options_reach_the_explanations(run: Run, digit: Path) -> None:
    options = ("--method", "random_forest", "--detector", "logistic_regression", "--level", "0.1", "--other-class", "8")
    answer = json.loads(run("explain", digit, "--json", *options).stdout)
    assert answer["latent_ranking"]["method"] == "RANKING_METHOD_RANDOM_FOREST"
    assert answer["anomaly_score"]["detector"] == "DETECTOR_LOGISTIC_REGRESSION"
    assert answer["path_mask"]["other_class"] == 8 or answer["prediction"]["class_index"] == 8


def test_figure_is_1200_wide_and_json_stays_json(run: Run, digit: Path, address: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.png"
    result = run("explain", digit, "--json", "--figure", out, "--server", address)
    assert result.exit_code == 0, result.stderr
    json.loads(result.stdout)
    assert str(out) in result.stderr
    assert width_of(out) == 1200


@pytest.mark.parametrize(("option", "value"), [("--method", "guess"), ("--detector", "nose"), ("--solver", "slow")])
def test_unknown_choice_is_wrong_usage(run: Run, digit: Path, option: str, value: str) -> None:
    result = run("explain", digit, option, value)
    assert result.exit_code == 2
    assert option in result.output


@pytest.mark.parametrize("seed", ["-1", str(2**64)])
def test_seed_out_of_range_is_wrong_usage(run: Run, digit: Path, seed: str) -> None:
    assert run("explain", digit, "--seed", seed).exit_code == 2


@pytest.mark.parametrize("through_grpc", [False, True])
def test_bad_image_is_one_sentence(run: Run, tmp_path: Path, address: str, through_grpc: bool) -> None:
    bad = {
        "rubbish.png": b"\x89PNG\r\n\x1a\n rubbish",
        "text.png": b"not an image",
        "empty.png": b"",
        "large.png": png(np.zeros((30, 30), np.uint8)),
        "transparent.png": png(np.zeros((28, 28, 4), np.uint8)),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        result = run("explain", tmp_path / name, *(("--server", address) if through_grpc else ()))
        assert result.exit_code == 1, name
        assert result.stderr.count("\n") == 1 and "image" in result.stderr, (name, result.stderr)


def test_wrong_size_can_be_resized(run: Run, tmp_path: Path, digits: list[bytes]) -> None:
    large = Image.open(io.BytesIO(digits[0])).resize((56, 56))
    large.save(tmp_path / "large.png")
    assert run("explain", tmp_path / "large.png", "--resize").exit_code == 0


def test_unknown_model_says_what_there_is(run: Run, digit: Path) -> None:
    result = run("explain", digit, "--model", "moons")
    assert result.exit_code == 1 and "mnist" in result.stderr
    result = run("explain", digit, "--model", "mnist", "--version", "77")
    assert result.exit_code == 1 and "77" in result.stderr


def test_impossible_classes_are_named(run: Run, digit: Path) -> None:
    for option, value in (("--other-class", "10"), ("--self-class", "-1")):
        result = run("explain", digit, option, value)
        assert result.exit_code == 1
        assert option.strip("-").replace("-", "_") in result.stderr


def test_nobody_there(run: Run, digit: Path) -> None:
    result = run("explain", digit, "--server", "127.0.0.1:1")
    assert result.exit_code == 1 and "explaind serve" in result.stderr


def test_figure_that_cannot_be_written(run: Run, digit: Path) -> None:
    result = run("explain", digit, "--figure", "/proc/figure.png")
    assert result.exit_code == 1 and "/proc/figure.png cannot be written" in result.stderr


def test_models_lists_the_bundle(run: Run, address: str) -> None:
    assert STORE.is_dir()
    for arguments in ((), ("--server", address)):
        result = run("models", *arguments)
        assert result.exit_code == 0 and "mnist" in result.stdout and "1×28×28" in result.stdout
        lines = run("models", "--json", *arguments).stdout.splitlines()
        assert json.loads(lines[0])["name"] == "mnist"
