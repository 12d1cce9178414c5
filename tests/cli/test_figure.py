from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explaind.cli import demo_run, figure
from explaind.errors import ConfigurationError
from explaind.figures.canvas import WIDTH
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client import AnomalyScoreParameters, Client, LatentRankingParameters, PathMaskParameters, to_tensor
from tests.cli.conftest import assert_legible, width_of

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


Explained = tuple[service_pb.ExplainResponse, Pixels]


@pytest.fixture(scope="module")
def explain(address: str) -> Callable[[str], Explained]:
    """Everything the daemon says of one image of the demo."""

    def ask(name: str) -> Explained:
        encoded = demo_run.image_bytes(name)
        with Client(address) as client:
            response = client.explain(
                encoded,
                model="mnist",
                latent_ranking=LatentRankingParameters(include_responses=True, include_traversals=True),
                anomaly_score=AnomalyScoreParameters(include_reconstruction=True),
                path_mask=PathMaskParameters(include_path=True),
            )
        return response, np.asarray(Image.open(io.BytesIO(encoded)), np.float32)[None] / 255

    return ask


@pytest.fixture(scope="module")
def explained(explain: Callable[[str], Explained]) -> Explained:
    return explain("digit_7.png")


@pytest.mark.parametrize("name", demo_run.IMAGES)
def test_everything_is_legible(explain: Callable[[str], Explained], name: str) -> None:
    response, image = explain(name)
    canvas = figure.draw(response, image)
    assert_legible(canvas)
    said = " ".join(canvas.text_boxes())
    mask = response.path_mask
    assert f"{mask.self_class}, not {mask.other_class}" in said
    assert ("anomalous (p = 0.00" in said) is response.anomaly_score.anomalous


@pytest.mark.parametrize("dropped", [("path_mask",), ("latent_ranking",), ("anomaly_score",),
                                     ("path_mask", "latent_ranking", "anomaly_score")])  # fmt: skip
def test_parts_may_be_missing(explained: Explained, dropped: tuple[str, ...]) -> None:
    response, image = explained
    partial = service_pb.ExplainResponse.FromString(response.SerializeToString())
    for name in dropped:
        partial.ClearField(name)  # type: ignore[arg-type]
    canvas = figure.draw(partial, image)
    assert canvas.height < figure.draw(response, image).height or dropped == ("anomaly_score",)
    assert_legible(canvas)


@pytest.mark.parametrize("outcome", [pb.PATH_MASK_OUTCOME_NO_MORPH_FOUND, pb.PATH_MASK_OUTCOME_NO_CHANGE])
def test_a_mask_that_was_not_found_gives_its_reason(explained: Explained, outcome: pb.PathMaskOutcome) -> None:
    response, image = explained
    partial = service_pb.ExplainResponse.FromString(response.SerializeToString())
    partial.path_mask.outcome = outcome
    partial.path_mask.reason = "No code near this image decodes to its own two likeliest classes, so there is no start."
    partial.path_mask.ClearField("path")
    canvas = figure.draw(partial, image)
    assert_legible(canvas)
    assert any("No code near" in text for text in canvas.text_boxes())


def test_long_names_are_cut_and_marks_are_not_mathematics(
    explained: Explained,
) -> None:
    response, image = explained
    named = service_pb.ExplainResponse.FromString(response.SerializeToString())
    for latent in named.latent_ranking.latents:
        latent.label = f"thickness of the $lower$ right stroke {latent.dimensions[0]}"
    assert_legible(figure.draw(named, image))


def test_colour_images_are_drawn(explained: Explained) -> None:
    response, image = explained
    coloured = service_pb.ExplainResponse.FromString(response.SerializeToString())
    three = to_tensor(np.repeat(image, 3, axis=0))
    coloured.path_mask.other_image.CopyFrom(three)
    coloured.anomaly_score.reconstruction.CopyFrom(three)
    assert_legible(figure.draw(coloured, np.repeat(image, 3, axis=0)))


def test_the_same_answer_makes_the_same_file(explained: Explained, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        figure.write_figure(*explained, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert width_of(tmp_path / "a.png") == WIDTH


def test_unwritable_file_is_named(explained: Explained) -> None:
    with pytest.raises(ConfigurationError, match=r"/proc/x\.png"):
        figure.write_figure(*explained, Path("/proc/x.png"))


@pytest.mark.parametrize("shape", [(3, 128, 64), (1, 20, 50)])
def test_pictures_that_are_not_square_keep_their_shape(explained: Explained, shape: tuple[int, int, int]) -> None:
    """The image, its reconstruction, its counterpart, the mask, the path and the traversals."""
    response, _ = explained
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    shaped = service_pb.ExplainResponse.FromString(response.SerializeToString())
    for tensor in (shaped.path_mask.other_image, shaped.anomaly_score.reconstruction):
        tensor.CopyFrom(to_tensor(image))
    shaped.path_mask.attribution.CopyFrom(to_tensor(image[0] - image[0].mean()))
    shaped.path_mask.path.CopyFrom(to_tensor(np.stack([image] * 8)))
    for latent in shaped.latent_ranking.latents:
        latent.traversal.CopyFrom(to_tensor(np.stack([image] * 10)))
    canvas = figure.draw(shaped, image)
    assert_legible(canvas)
    extents = [picture.get_extent() for picture in canvas.figure.axes[0].images]
    assert len(extents) >= 4 + 8 + 10
    for left, right, bottom, top in extents:
        assert abs(right - left) / abs(top - bottom) == pytest.approx(shape[2] / shape[1])
