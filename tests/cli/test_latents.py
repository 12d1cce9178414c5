"""`explaind compare` and `explaind traverse`, and their figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explaind.cli import figure_compare, figure_traverse
from explaind.cli.explainer import LocalExplainer
from explaind.cli.traverse import sparkline
from explaind.explanations.models import FloatArray
from explaind.settings import Settings
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client import to_tensor
from tests.cli.conftest import STORE, assert_legible, width_of

Run = Callable[..., Any]
CHANGING = ("timings", "request_id", "time")


@pytest.fixture
def pair(digits: list[bytes], tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for path, digit in zip(paths, digits, strict=False):
        path.write_bytes(digit)
    return paths


@pytest.fixture(scope="module")
def local() -> Iterator[LocalExplainer]:
    explainer = LocalExplainer(Settings(model_store=STORE))
    yield explainer
    explainer.close()


@pytest.fixture(scope="module")
def pixels() -> FloatArray:
    with np.load(Path(__file__).parents[1] / "data" / "images.npz") as archive:
        return archive["mnist"][:2, None].astype(np.float32) / 255


# ---- commands ---------------------------------------------------------------------------------------------------


def test_compare_says_what_tells_them_apart(run: Run, pair: tuple[Path, Path]) -> None:
    result = run("compare", *pair)
    assert result.exit_code == 0, result.stderr
    assert "mnist reads A as" in result.stdout and "of random pairs." in result.stdout
    assert "What tells B from A" in result.stdout


def test_traverse_says_how_likely_the_class_remains(run: Run, digit: Path) -> None:
    result = run("traverse", digit, "--dimension", 9, "--dimension", 3, "--steps", 4)
    assert result.exit_code == 0, result.stderr
    assert "mnist reads this image as" in result.stdout and "from -3 to 3" in result.stdout
    assert result.stdout.index("backward slant") < result.stdout.index("z3")


@pytest.mark.parametrize("command", ["compare", "traverse"])
def test_in_process_and_over_grpc_say_the_same(run: Run, pair: tuple[Path, Path], address: str, command: str) -> None:
    images = pair if command == "compare" else pair[:1]
    here = json.loads(run(command, *images, "--json").stdout)
    there = json.loads(run(command, *images, "--json", "--server", address).stdout)
    for answer in (here, there):
        for changing in CHANGING:
            answer["provenance"].pop(changing, None)
    assert here == there


@pytest.mark.parametrize("command", ["compare", "traverse"])
def test_figure_is_1200_wide_and_json_stays_json(
    run: Run, pair: tuple[Path, Path], address: str, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "deep" / "out.png"
    images = pair if command == "compare" else pair[:1]
    result = run(command, *images, "--json", "--figure", out, "--server", address)
    assert result.exit_code == 0, result.stderr
    json.loads(result.stdout)
    assert str(out) in result.stderr
    assert width_of(out) == 1200


def test_bad_input_is_one_sentence(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not an image")
    for arguments, named in (
        (("compare", pair[0], tmp_path / "bad.png"), "image_b"),
        (("compare", tmp_path / "bad.png", pair[0]), "image_a"),
        (("compare", *pair, "--latent-space", "moons"), "moons"),
        (("traverse", pair[0], "--dimension", 12), "dimension is 12"),
        (("traverse", pair[0], "--low", 3, "--high", -3), "high is -3"),
        (("traverse", pair[0], "--figure", "/proc/figure.png"), "/proc/figure.png cannot be written"),
        (("compare", *pair, "--model", "moons"), "mnist"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, arguments
        assert result.stderr.count("\n") == 1 and named in result.stderr, (arguments, result.stderr)


@pytest.mark.parametrize(
    "arguments", [("--steps", 1), ("--steps", 101), ("--dimension", -1), ("--hold", "mean"), ("--low", "x")], ids=str
)
def test_wrong_usage_is_2(run: Run, digit: Path, arguments: tuple[object, ...]) -> None:
    result = run("traverse", digit, *arguments)
    assert result.exit_code == 2 and str(arguments[0]) in result.output


def test_a_sparkline_is_as_tall_as_the_probability() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"


# ---- figures ----------------------------------------------------------------------------------------------------


def _compared(
    local: LocalExplainer, first: FloatArray, second: FloatArray
) -> tuple[service_pb.CompareLatentsResponse, list[pb.Traversal]]:
    response = local.compare_latents(first, second, model="mnist")
    dimensions = [row.dimensions[0] for row in figure_compare.shown(response)]
    reach = figure_compare.reach(response)
    walked = local.traverse_latents(first, model="mnist", dimensions=dimensions, low=-reach, high=reach)
    return response, list(walked.traversals)


@pytest.mark.parametrize("second", [0, 1], ids=["the same image", "another"])
def test_a_comparison_is_legible(local: LocalExplainer, pixels: FloatArray, second: int) -> None:
    response, strips = _compared(local, pixels[0], pixels[second])
    canvas = figure_compare.draw_comparison(response, strips, (pixels[0], pixels[second]))
    assert_legible(canvas)
    said = " ".join(canvas.text_boxes())
    assert f"{response.prediction_a.class_name} and {response.prediction_b.class_name}" in said
    assert all(row.label.split()[0] in said for row in figure_compare.shown(response))


def test_unusual_values_stay_inside_the_strip(local: LocalExplainer, pixels: FloatArray) -> None:
    response, strips = _compared(local, pixels[0], pixels[1])
    assert figure_compare.reach(response) == 4.0, "the second digit has an unusually full centre"
    response.differences[0].values_b[0] = 40.0
    assert figure_compare.reach(response) == figure_compare.LARGEST_REACH
    assert_legible(figure_compare.draw_comparison(response, strips, (pixels[0], pixels[1])))


def test_long_names_are_cut(local: LocalExplainer, pixels: FloatArray) -> None:
    response, strips = _compared(local, pixels[0], pixels[1])
    for place, row in enumerate(response.differences):
        row.label = f"thickness of the $lower$ right stroke {place}"
    response.prediction_a.class_name, response.prediction_b.class_name = "Ankle boot", "T-shirt/top"
    assert_legible(figure_compare.draw_comparison(response, strips, (pixels[0], pixels[1])))


def test_without_used_factors_the_figure_says_so(pixels: FloatArray) -> None:
    score = pb.ClassScore(class_name="2", probability=1.0)
    prediction = pb.Prediction(class_name="2", scores=[score])
    response = service_pb.CompareLatentsResponse(
        model="mnist", prediction_a=prediction, prediction_b=prediction, same_p_value=1.0
    )
    canvas = figure_compare.draw_comparison(response, [], (pixels[0], pixels[1]))
    assert_legible(canvas)
    assert any("no used factors" in text for text in canvas.text_boxes())
    walked = service_pb.TraverseLatentsResponse(
        model="mnist", prediction=prediction, reconstruction=to_tensor(pixels[0])
    )
    assert_legible(figure_traverse.draw_traversals(walked, pixels[0]))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"dimensions": [9], "steps": 2},
        {"dimensions": [9, 3], "steps": 100, "hold": "zero", "low": -10.0, "high": 0.5},
        {"latent_space": "morphing"},
    ],
    ids=str,
)
def test_traversals_are_legible(local: LocalExplainer, pixels: FloatArray, asked: dict[str, Any]) -> None:
    response = local.traverse_latents(pixels[0], model="mnist", **asked)
    canvas = figure_traverse.draw_traversals(response, pixels[0], hold=asked.get("hold", "encoded"))
    assert_legible(canvas)
    said = " ".join(canvas.text_boxes())
    assert f"latent {response.traversals[0].dimension}" in said
    assert ("more latents were moved" in said) is (len(response.traversals) > figure_traverse.MOST_ROWS)
