"""Archives: the same bytes twice, what TorchServe needs in them, nothing of the machine that wrote them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from safetensors.numpy import load

from explaind.backends import networks
from explaind.errors import BundleInvalid, RecipeInvalid
from explaind.training.archive import ArchiveConfiguration, handlers_folder, write_archives
from tests.untrained_archives import write_untrained

ENTRIES = ["model-config.yaml", "{}_handler.py", "networks.json", "weights.safetensors", "MAR-INF/MANIFEST.json"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("bundle"))


@pytest.mark.parametrize("role", ["classifier", "vae"])
def test_written_twice_they_are_the_same_to_the_byte(bundle: Path, role: str) -> None:
    path = bundle / f"untrained-{role}.mar"
    before = path.read_bytes()
    path.unlink()
    assert path in write_archives("untrained", "1", bundle)
    assert path.read_bytes() == before


@pytest.mark.parametrize("role", ["classifier", "vae"])
def test_an_archive_holds_its_handler_and_just_its_networks(bundle: Path, role: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle / f"untrained-{role}.mar") as archive:
        assert archive.namelist() == [name.format(role) for name in ENTRIES]
        archive.extractall(tmp_path)
        weights = load(archive.read("weights.safetensors"))
    tables = networks.read(tmp_path)
    own = {"classifier"} if role == "classifier" else {"morphing", "ranking"}
    assert {key.split(".")[0] for key in weights} == own
    assert set(tables.spaces) == own - {"classifier"}
    assert bool(tables.classifier) == (role == "classifier")
    assert (tmp_path / f"{role}_handler.py").read_bytes() == (handlers_folder() / f"{role}_handler.py").read_bytes()


@pytest.mark.parametrize("role", ["classifier", "vae"])
def test_no_time_and_no_path_of_this_machine_is_inside(bundle: Path, role: str) -> None:
    path = bundle / f"untrained-{role}.mar"
    content = path.read_bytes()
    for foreign in (str(Path.cwd()), str(Path.home()), str(bundle), "site-packages"):
        assert foreign.encode() not in content or foreign == "/"
    with zipfile.ZipFile(path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_manifest_has_the_archivers_keys(bundle: Path, tmp_path: Path) -> None:
    """What torch-model-archiver writes for the same files, but for the time."""
    with zipfile.ZipFile(bundle / "untrained-vae.mar") as archive:
        archive.extractall(tmp_path)
        ours = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    program = "from model_archiver.model_packaging import generate_model_archive; generate_model_archive()"
    options = {
        "model-name": "untrained-vae", "version": "1", "handler": tmp_path / "vae_handler.py",
        "serialized-file": tmp_path / "weights.safetensors", "config-file": tmp_path / "model-config.yaml",
        "extra-files": tmp_path / "networks.json", "export-path": tmp_path,
    }  # fmt: skip
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / "untrained-vae.mar") as archive:
        theirs = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    del ours["createdOn"], theirs["createdOn"]
    assert ours == theirs


def test_the_configuration_says_batch_size_and_delay() -> None:
    text = ArchiveConfiguration(batch_size=4, max_batch_delay_ms=2).yaml()
    assert {"batchSize: 4", "maxBatchDelay: 2", "minWorkers: 1", "responseTimeout: 30"} <= set(text.splitlines())


@pytest.mark.parametrize("name", ["batch_size", "max_batch_delay_ms", "response_timeout_seconds", "threads"])
def test_a_value_that_torchserve_would_replace_is_refused(name: str) -> None:
    with pytest.raises(RecipeInvalid, match=name):
        ArchiveConfiguration(**{name: 0})


def test_without_spaces_there_is_a_classifiers_archive_only(tmp_path: Path, bundle: Path) -> None:
    tables = json.loads((bundle / "networks.json").read_text())
    (tmp_path / "networks.json").write_text(json.dumps({**tables, "spaces": {}}))
    (tmp_path / "weights.safetensors").write_bytes((bundle / "weights.safetensors").read_bytes())
    assert [path.name for path in write_archives("small", "2", tmp_path)] == ["small-classifier.mar"]


@pytest.mark.parametrize("damaged", ["networks.json", "weights.safetensors"])
def test_a_damaged_bundle_is_refused_by_file(bundle: Path, tmp_path: Path, damaged: str) -> None:
    for name in ("networks.json", "weights.safetensors"):
        (tmp_path / name).write_bytes(b"{" if name == damaged else (bundle / name).read_bytes())
    with pytest.raises(BundleInvalid, match=damaged):
        write_archives("untrained", "1", tmp_path)
