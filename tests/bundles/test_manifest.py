"""The manifest: written deterministically, verified to the byte, every defect named with what to do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from explaind.bundles import labels, manifest
from explaind.errors import BundleInvalid


def _write(folder: Path) -> manifest.Manifest:
    return manifest.write(
        folder,
        name="digits",
        version="1",
        description="Handwritten digits",
        class_names=[str(digit) for digit in range(10)],
        image_shape=(1, 28, 28),
        spaces={"ranking": (12, ["ranking"]), "morphing": (100, ["morphing"])},
        parity={"classifier": 1e-6},
        recipe_digest="0" * 64,
        explanations=["prediction"],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spaces = ("ranking", "morphing")
    tensors = {f"{space}.encoder.0.weight": np.full((2, 2), len(space), np.float32) for space in spaces}
    save_file(tensors, tmp_path / "weights.safetensors")
    (tmp_path / "networks.json").write_text("{}")
    (tmp_path / "reference.npz").write_bytes(b"arrays")
    _write(tmp_path)
    return tmp_path


def _edit(folder: Path, **changes: object) -> None:
    path = folder / manifest.FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_read_gives_what_was_written(folder: Path) -> None:
    read = manifest.read(folder)
    assert read == _write(folder)
    assert read.files["reference.npz"] == hashlib.sha256(b"arrays").hexdigest()
    assert read.space_with_role("ranking") == read.space_named("ranking")
    assert read.space_named("other") is None
    assert (read.preprocessing.blur_sigma, read.preprocessing.blur_radius) == (1.5, 4)
    manifest.verify(folder, read)


def test_the_digest_is_of_the_manifests_bytes_and_the_same_each_time(folder: Path) -> None:
    content = (folder / manifest.FILE_NAME).read_bytes()
    _write(folder)
    assert (folder / manifest.FILE_NAME).read_bytes() == content
    assert manifest.digest(folder) == hashlib.sha256(content).hexdigest()


def test_spaces_carry_their_encoders_digest(folder: Path) -> None:
    digests = {space.name: space.encoder_digest for space in manifest.read(folder).spaces}
    assert digests["ranking"] == labels.encoder_digest({"0.weight": np.full((2, 2), 7, np.float32)})
    assert digests["ranking"] != digests["morphing"]


def test_an_altered_file_is_named(folder: Path) -> None:
    (folder / "reference.npz").write_bytes(b"arrayz")
    with pytest.raises(BundleInvalid, match=r"reference\.npz was altered.*explaind train"):
        manifest.verify(folder, manifest.read(folder))


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "networks.json").unlink()
    with pytest.raises(BundleInvalid, match=r"networks\.json is missing"):
        manifest.verify(folder, manifest.read(folder))


def test_a_file_nobody_listed_is_refused(folder: Path) -> None:
    (folder / ".hidden").write_text("ignored")
    manifest.verify(folder, manifest.read(folder))
    (folder / "classifier_gradient.onnx").write_bytes(b"smuggled")
    with pytest.raises(BundleInvalid, match=r"classifier_gradient\.onnx is not listed"):
        manifest.verify(folder, manifest.read(folder))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / manifest.FILE_NAME).write_bytes(content)
    with pytest.raises(BundleInvalid, match=r"manifest\.json"):
        manifest.read(folder)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"manifest\.json is missing"):
        manifest.read(tmp_path)


@pytest.mark.parametrize("version", [2, "1", None])
def test_an_unknown_schema_version_says_so(folder: Path, version: object) -> None:
    _edit(folder, schema_version=version)
    with pytest.raises(BundleInvalid, match="schema version"):
        manifest.read(folder)


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/../../b", "a\\b", "", ".", "a//b", "manifest.json"])
def test_file_names_stay_inside_the_bundle(folder: Path, name: str) -> None:
    files = json.loads((folder / manifest.FILE_NAME).read_text())["files"]
    _edit(folder, files=files | {name: "0" * 64})
    with pytest.raises(BundleInvalid, match="does not lie inside"):
        manifest.read(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../x"),
        ("class_names", ["only one"]),
        ("image_shape", [0, 28, 28]),
        ("explanations", ["magic"]),
        ("surprise", 1),
        ("files", {}),
    ],
)
def test_malformed_statements_are_named(folder: Path, field: str, value: object) -> None:
    _edit(folder, **{field: value})
    with pytest.raises(BundleInvalid, match=r"manifest\.json.*"):
        manifest.read(folder)
