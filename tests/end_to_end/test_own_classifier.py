"""`explaind new` from the shell's side, on a few real digits: what is refused, then a bundle that a real server serves.

The digits are far too few for a good VAE: the report must say so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from explaind.backends import torch as torch_backend
from explaind.bundles import reference
from explaind.cli.main import app
from explaind.errors import BundleInvalid
from explaind.settings import Settings
from explaind.training.foreign.create import _move
from explaind.v1 import explanation_pb2 as pb
from explaind_client import Client
from explaind_client.errors import ExplanationUnsupported
from tests.conftest import ROOT
from tests.served import serving
from tests.training.foreign.networks import save_pt2

JUDGE = ROOT / "tests/data/judge.onnx"
pytestmark = pytest.mark.timeout(1200)  # a minute of work; a busy machine takes many times that


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 digits as a folder a class."""
    root = tmp_path_factory.mktemp("digits")
    with np.load(ROOT / "tests/data/images.npz") as archive:
        for index, (image, label) in enumerate(zip(archive["mnist"], archive["mnist_labels"], strict=True)):
            folder = root / str(int(label))
            folder.mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / f"{index:03}.png")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the model store and the training runs."""
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def built(digits: Path, folder: Path) -> Result:
    return _new(folder, "digits", JUDGE, digits)


@pytest.fixture(scope="module")
def address(folder: Path, built: Result) -> Iterator[str]:
    assert built.exit_code == 0, built.stderr
    with serving(Settings(port=0, metrics_port=0, model_store=folder / "store", reload_seconds=0)) as server:
        yield server.address


def _new(folder: Path, name: str, classifier: Path, images: Path, *more: str) -> Result:
    told = ["new", name, "--classifier", str(classifier), "--images", str(images), "--quick", "--epochs", "3"]
    where = ["--model-store", str(folder / "store"), "--training-runs", str(folder / "runs")]
    return CliRunner().invoke(app, [*told, *where, *more])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--size", "0"), "no size"), (("--mean", "grey"), "no number"), (("--deviation", "0"), "above 0"),
        (("--deviation", "nan"), "above 0"), (("--classes", "nowhere.txt"), "cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_wrong_usage(options: tuple[str, str], said: str, digits: Path, tmp_path: Path) -> None:
    result = _new(tmp_path, "digits", JUDGE, digits, *options)
    assert result.exit_code == 2 and said in " ".join(result.stderr.split())
    assert _new(tmp_path, "My Digits", JUDGE, digits).exit_code == 2


def test_what_does_not_fit_leaves_nothing_behind(digits: Path, tmp_path: Path) -> None:
    for name in "012":
        shutil.copytree(digits / name, tmp_path / "three" / name)
    other_classes = _new(tmp_path, "digits", JUDGE, tmp_path / "three")
    assert other_classes.exit_code == 1 and "10 outputs, there are 3 classes (0, 1, 2)" in other_classes.stderr
    too_few = _new(tmp_path, "digits", JUDGE, digits, "--sample", "60")
    assert too_few.exit_code == 1 and "60 images are too few" in too_few.stderr
    assert "Traceback" not in too_few.stderr and not list((tmp_path / "store").glob("*"))


def test_sizes_and_means_that_do_not_fit_the_classifier(digits: Path, tmp_path: Path) -> None:
    wrong_size = _new(tmp_path, "digits", JUDGE, digits, "--input-size", "32")
    assert wrong_size.exit_code == 1 and "takes 28×28 images, --input-size says 32×32" in wrong_size.stderr
    wrong_mean = _new(tmp_path, "digits", JUDGE, digits, "--mean", "0.1,0.2,0.3")
    assert wrong_mean.exit_code == 1 and "--mean has 3 numbers, the classifier 1 channels" in wrong_mean.stderr
    tiny = _new(tmp_path, "digits", JUDGE, digits, "--size", "8")
    assert tiny.exit_code == 1 and "too small" in tiny.stderr


def test_an_onnx_file_becomes_a_bundle_and_its_worth_is_said(built: Result, folder: Path) -> None:
    assert built.exit_code == 0, built.stderr
    assert "callers send 1 × 28 × 28" in built.stderr
    assert "prediction: good" in built.stdout
    assert "latent_ranking: not usable: same class after reconstruction" in built.stdout
    assert "path_mask: not usable: the classifier has no gradients" in built.stdout
    found = {path.name for path in (folder / "store/digits").iterdir()}
    assert found == {"1", "recipe.toml", "classifier.onnx", "quality.json"}
    assert [path.name for path in (folder / "store").iterdir()] == ["digits"]
    quality: Any = json.loads((folder / "store/digits/quality.json").read_text(encoding="utf-8"))
    assert [entry["verdict"] for entry in quality][0::3] == ["good", "not usable"]
    assert (folder / "runs/digits/quality/README.md").read_text(encoding="utf-8").startswith("# Quality report: digits")


def test_the_bundle_is_for_the_onnx_backend_alone(built: Result, folder: Path) -> None:
    assert not list((folder / "store/digits/1").glob("*.mar"))
    with pytest.raises(BundleInvalid, match="serve it with the onnx backend"):
        torch_backend.open_bundle(folder / "store/digits/1")


def test_a_name_that_is_taken_is_not_overwritten(built: Result, folder: Path, digits: Path) -> None:
    again = _new(folder, "digits", JUDGE, digits)
    assert again.exit_code == 1 and "already; choose another name, or --replace it" in again.stderr


def test_what_somebody_wrote_or_built_beside_it_stays_when_it_is_replaced(tmp_path: Path) -> None:
    stage, home = tmp_path / "stage", tmp_path / "digits"
    for folder, files in (
        (stage, ("1/manifest.json", "recipe.toml", "quality.json")),
        (home, ("1/manifest.json", "2/manifest.json", "labels.toml", "recipe.toml", "evaluation.json")),
    ):
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(folder.name, encoding="utf-8")
    assert _move(stage, home, "1") == home / "1"
    found = {str(path.relative_to(home)): path.read_text(encoding="utf-8") for path in home.rglob("*.*")}
    assert found == {
        "1/manifest.json": "stage", "2/manifest.json": "digits", "labels.toml": "digits", "recipe.toml": "stage",
        "quality.json": "stage",
    }  # fmt: skip


def test_a_server_explains_with_it_and_refuses_path_masks_by_name(address: str, digits: Path, folder: Path) -> None:
    used = reference.load(folder / "store/digits/1/reference.npz").rankings["ranking"].used  # trained for seconds: few
    image = next((digits / "7").iterdir())
    with Client(address) as client:
        answer = client.explain(image, model="digits", anomaly_score=pb.AnomalyScoreParameters(level=0.05))
        assert answer.prediction.class_name == "7" and 0 < answer.anomaly_score.p_value <= 1
        ranked = client.explain(image, model="digits", latent_ranking=pb.LatentRankingParameters())
        assert ranked.HasField("latent_ranking") and len(ranked.latent_ranking.latents) == used.sum()
        with pytest.raises(ExplanationUnsupported) as refusal:
            client.explain(image, model="digits", path_mask=pb.PathMaskParameters())
    assert refusal.value.reason == "EXPLANATION_UNSUPPORTED"


def test_the_bundle_classifies_as_the_file_does(address: str, digits: Path) -> None:
    images = sorted(digits.rglob("*.png"))
    with Client(address) as client:
        answer = client.score_anomalies(images, model="digits", parameters=pb.AnomalyScoreParameters(level=0.05))
    right = [str(index) == path.parent.name for index, path in zip(answer.class_indices, images, strict=True)]
    assert np.mean(right) >= 0.97


def test_a_program_becomes_a_bundle_with_path_masks(digits: Path, folder: Path) -> None:
    """It wants 20 × 20 pixels, normalised: both are done inside its graphs."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 5, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(96, 10)
    )
    program = save_pt2(network.eval(), folder / "small.pt2", torch.zeros(2, 1, 20, 20))
    result = _new(folder, "program", program, digits, "--mean", "0.13", "--deviation", "0.3", "--sample", "200")
    assert result.exit_code == 0, result.stderr
    assert "the classifier gets 20 × 20, resized inside the graphs" in result.stderr
    assert "prediction: not usable" in result.stdout  # nobody trained it
    manifest: Any = json.loads((folder / "store/program/1/manifest.json").read_text(encoding="utf-8"))
    assert manifest["explanations"] == ["prediction", "latent_ranking", "anomaly_score", "path_mask"]
    assert manifest["backends"] == ["onnx"] and manifest["parity"]["morphing_morph_gradient"] <= 1e-4
