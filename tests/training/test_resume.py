"""A fit that is cut off goes on where it was, to the same weights to the bit."""

from __future__ import annotations

import io
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explaind.backends.torch_networks import build, build_encoder
from explaind.errors import ConfigurationError, RecipeInvalid
from explaind.training.architectures import autoencoder_table, classifier_table
from explaind.training.checkpoints import CheckpointFile, Snapshot
from explaind.training.datasets import ImageSet, load_splits
from explaind.training.fit import Diverged, FitResult, deterministic, fit
from explaind.training.folder_lock import locked
from explaind.training.objectives import CrossEntropy, Elbo, Vae
from explaind.training.progress import LogReporter
from explaind.training.recipe import FitRecipe, Recipe, load_recipe
from explaind.training.train import train, train_networks

SHAPE = (1, 28, 28)
RECIPE = """
name = "bars"
seed = 5
threads = 1

[data]
set = "mnist"
validation = 100
calibration = 100

[classifier]
architecture = "pm_mnist_classifier"
epochs = 6
patience = 6
batch_size = 50

[spaces.codes]
architecture = "small_mnist_vae"
roles = ["ranking"]
epochs = 6
patience = 6
batch_size = 50
capacity = 10.0
capacity_epochs = 2

[reference]
images = 200
forest_images = 200
sobol_samples = 16
forest_trees = [3]
served_trees = 3
served_leaves = 8
samples_per_image = 2
"""


class CutOffError(Exception):
    """What ends a fit from outside."""


class CutsOff(LogReporter):
    """Ends the fit in the middle of an epoch, as a full disk or Ctrl-C might."""

    def __init__(self, steps: int) -> None:
        super().__init__(io.StringIO())
        self._steps = steps

    def step(self) -> None:
        self._steps -= 1
        if self._steps == 0:
            raise CutOffError


def _images(count: int, seed: int) -> ImageSet:
    generator = np.random.default_rng(seed)
    return ImageSet(generator.integers(0, 256, (count, *SHAPE), dtype=np.uint8), generator.integers(0, 10, count))


def _vae() -> Vae:
    table = autoencoder_table("small_mnist_vae", SHAPE)
    return Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))


def _fit(
    kind: str, checkpoint: CheckpointFile | None, reporter: LogReporter, precision: str
) -> tuple[nn.Module, FitResult]:
    """A classifier with dropout, or a VAE whose objective changes with the epochs; six epochs of five steps."""
    recipe = FitRecipe(architecture="", epochs=6, patience=2, batch_size=20, precision=precision)  # type: ignore[arg-type]
    train_set, validation = _images(100, 1), _images(40, 2)
    with deterministic(7, 1):
        if kind == "classifier":
            classifier = build(classifier_table("pm_mnist_classifier", SHAPE, 10).layers)
            return classifier, fit(classifier, CrossEntropy(), train_set, validation, recipe, reporter, checkpoint)
        vae = _vae()
        objective = Elbo(3.0, capacity=10.0, capacity_epochs=2)
        return vae, fit(vae, objective, train_set, validation, recipe, reporter, checkpoint)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["classifier", "vae"])
def test_a_fit_cut_off_twice_ends_with_the_same_bits(tmp_path: Path, kind: str, precision: str) -> None:
    whole, expected = _fit(kind, None, LogReporter(io.StringIO()), precision)
    checkpoint = CheckpointFile(tmp_path / "network.checkpoint", "digest")
    for steps in (7, 8):  # in the second epoch, then in the third
        with pytest.raises(CutOffError):
            _fit(kind, checkpoint, CutsOff(steps), precision)
    log = io.StringIO()
    resumed, result = _fit(kind, checkpoint, LogReporter(log), precision)
    assert "goes on after epoch 2" in log.getvalue()
    assert result == expected
    assert _equal(whole.state_dict(), resumed.state_dict())
    assert [path.name for path in tmp_path.iterdir()] == ["network.checkpoint"]


@pytest.mark.parametrize(("capability", "told"), [("AVX2", True), ("AVX512", False)])
def test_a_processor_without_bfloat16_is_told_of(monkeypatch: pytest.MonkeyPatch, capability: str, told: bool) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    for precision, expected in (("bfloat16", told), ("float32", False)):
        log = io.StringIO()
        _fit("classifier", None, LogReporter(log), precision)
        assert ("has to emulate bfloat16" in log.getvalue()) == expected


def _equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_fit_is_not_continued(tmp_path: Path) -> None:
    """Killed after its last epoch, before its weights were saved: nothing is left to do but to take the best."""
    checkpoint = CheckpointFile(tmp_path / "network.checkpoint", "digest")
    first, expected = _fit("classifier", checkpoint, LogReporter(io.StringIO()), "float32")
    log = io.StringIO()
    again, result = _fit("classifier", checkpoint, LogReporter(log), "float32")
    assert result == expected
    assert _equal(first.state_dict(), again.state_dict())
    assert "validation" not in log.getvalue()


def test_a_snapshot_of_another_fit_or_a_damaged_one_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "network.checkpoint"
    file = CheckpointFile(path, "this")
    assert file.load() is None
    file.save(Snapshot({"a": torch.arange(3.0)}, {"value": 0.1 + 0.2, "none": float("inf")}))
    loaded = file.load()
    assert loaded is not None
    assert loaded.facts == {"value": 0.1 + 0.2, "none": float("inf")}
    assert torch.equal(loaded.tensors["a"], torch.arange(3.0))
    assert CheckpointFile(path, "another").load() is None
    path.write_bytes(path.read_bytes()[:-4])
    assert file.load() is None


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "network.checkpoint", "this")
    file.save(Snapshot({"a": torch.zeros(3)}, {"epoch": 1}))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.save(Snapshot({"a": torch.zeros(30_000)}, {"epoch": 2}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    kept = file.load()
    assert kept is not None
    assert kept.facts == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["network.checkpoint"]


class Explodes(CrossEntropy):
    """Sound in the first epoch, no number from the third step of the second."""

    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        loss = super().loss(network, images, labels, epoch)
        return loss * float("nan") if epoch > 1.3 else loss


def test_a_diverging_loss_is_named_by_its_step_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    checkpoint = CheckpointFile(tmp_path / "network.checkpoint", "digest")
    network = build(classifier_table("pm_mnist_classifier", SHAPE, 10).layers)
    recipe = FitRecipe(architecture="", epochs=4, batch_size=20)
    with pytest.raises(Diverged, match=r"epoch 2, step 3 \(the loss is nan\)") as caught:
        fit(network, Explodes(), _images(100, 1), _images(40, 2), recipe, LogReporter(io.StringIO()), checkpoint)
    assert caught.value.metadata == {"epoch": "2", "step": "3"}
    kept = checkpoint.load()
    assert kept is not None
    assert len(kept.facts["values"]) == 1
    assert all(bool(tensor.isfinite().all()) for tensor in kept.tensors.values())


def test_a_diverging_training_names_the_recipes_line(tmp_path: Path, data: Path) -> None:
    text = RECIPE.replace("capacity = 10.0", "learning_rate = 1.0\nbeta = 1e300\ncapacity = 10.0")
    folder = _bundle(tmp_path, text)
    with pytest.raises(RecipeInvalid, match=r"recipe\.toml, line \d+: the fit of codes diverged at epoch 1") as caught:
        train(folder, data=data, runs=tmp_path / "runs")
    line = int(caught.value.metadata["line"])
    assert (folder / "recipe.toml").read_text().splitlines()[line - 1] == "learning_rate = 1.0"
    assert (tmp_path / "runs" / "bars" / "classifier.safetensors").exists()  # what was finished is kept


def _bundle(folder: Path, text: str = RECIPE) -> Path:
    bundle = folder / "bars"
    bundle.mkdir(parents=True)
    (bundle / "recipe.toml").write_text(text)
    return bundle


@contextmanager
def _training(bundle: Path, data: Path, runs: Path) -> Iterator[subprocess.Popen[str]]:
    code = "from explaind.cli.entry import main; main()"
    options = ["--data", str(data), "--training-runs", str(runs)]
    command = [sys.executable, "-c", code, "train", str(bundle), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _kill_at(bundle: Path, data: Path, runs: Path, words: str) -> list[str]:
    """Trains in a process of its own, ends it with SIGKILL as it says `words`, and returns what it said."""
    said = []
    with _training(bundle, data, runs) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if words in line:
                process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "".join(said)
    return said


def test_a_killed_process_loses_at_most_an_epoch(tmp_path: Path, data: Path) -> None:
    bundle, runs = _bundle(tmp_path), tmp_path / "runs"
    run = runs / "bars"
    _kill_at(bundle, data, runs, "classifier: epoch 3 of 6")
    assert not (run / "classifier.safetensors").exists()
    said = _kill_at(bundle, data, runs, "codes: epoch 3 of 6")
    assert any("classifier: goes on after epoch" in line for line in said)
    assert (run / "codes.checkpoint").exists()
    train(bundle, data=data, runs=runs)
    train(bundle, data=data, runs=tmp_path / "uninterrupted")
    expected = tmp_path / "uninterrupted" / "bars"
    assert _files(run) == _files(expected)
    assert not list(run.glob("*.checkpoint")) + list(run.glob("*.partial"))


def _files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(run.iterdir())}


def test_two_trainings_in_one_run_folder_are_refused(tmp_path: Path, data: Path) -> None:
    bundle, run = _bundle(tmp_path), tmp_path / "runs" / "bars"
    run.mkdir(parents=True)
    with locked(run), pytest.raises(ConfigurationError, match="Another training is at work"):
        train(bundle, data=data, runs=tmp_path / "runs")


def test_finished_networks_leave_no_checkpoint(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    small = recipe.model_copy(update={"spaces": {}, "judge": None})
    splits = load_splits(small.data, data)
    train_networks(small, splits, tmp_path, LogReporter(io.StringIO()))
    leftover = tmp_path / "classifier.checkpoint"
    shutil.copy(tmp_path / "classifier.safetensors", leftover)  # as if killed between saving and removing
    train_networks(small, splits, tmp_path, LogReporter(io.StringIO()))
    assert not leftover.exists()


def test_the_recipe_here_is_one(tmp_path: Path) -> None:
    assert load_recipe(_bundle(tmp_path)).spaces["codes"].capacity == 10.0
