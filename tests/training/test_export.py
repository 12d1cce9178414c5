"""Export: the same bytes twice, all of a bundle or nothing, no trace of the machine, weights kept once."""

from __future__ import annotations

import shutil
import site
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file

from explaind.backends import networks as tables
from explaind.bundles import bundle
from explaind.errors import ParityFailed
from explaind.training import onnx_files
from tests.untrained_bundle import CLASSES, IMAGE_SHAPE, LATENTS, export_untrained, untrained


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_untrained(tmp_path_factory.mktemp("store") / "shapes" / "1")


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_weights_give_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    again = export_untrained(tmp_path / "shapes" / "1")
    assert _contents(again) == _contents(exported)


def test_the_bundle_is_whole_and_verifies(exported: Path) -> None:
    loaded = bundle.load(exported)
    assert set(loaded.manifest.files) == {
        "networks.json", "weights.safetensors", "reference.npz", "probe.npz", "shapes-classifier.mar", "shapes-vae.mar",
        "classifier.onnx", "classifier_gradient.onnx", "morphing_encoder.onnx", "morphing_decoder.onnx",
        "morphing_morph_gradient.onnx",
    }  # fmt: skip
    assert loaded.manifest.explanations == ("prediction",)
    assert set(loaded.manifest.parity) == {name.removesuffix(".onnx") for name in loaded.manifest.files
                                           if name.endswith(".onnx")}  # fmt: skip
    assert all(0 <= worst <= 1e-4 for worst in loaded.manifest.parity.values())


def test_no_file_names_a_place_of_this_machine(exported: Path) -> None:
    places = [str(Path.cwd()), str(Path.home()), str(exported.parent), *site.getsitepackages(), "site-packages"]
    for name, content in _contents(exported).items():
        found = [place for place in places if len(place) > 1 and place.encode() in content]
        assert not found, f"{name} names {found}"


def _external(model: onnx.ModelProto) -> dict[str, Mapping[str, str]]:
    stored = [tensor for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    return {tensor.name: {entry.key: entry.value for entry in tensor.external_data} for tensor in stored}


def test_large_weights_lie_in_the_safetensors_file_alone(exported: Path) -> None:
    weights = load_file(exported / tables.WEIGHTS)
    content = (exported / tables.WEIGHTS).read_bytes()
    for path in exported.glob("*.onnx"):
        model = onnx.load(path, load_external_data=False)
        external = _external(model)
        assert external, path.name
        for name, where in external.items():
            first, length = int(where["offset"]), int(where["length"])
            assert where["location"] == tables.WEIGHTS
            assert content[first : first + length] == weights[name].tobytes()
        embedded = [tensor.ByteSize() for tensor in model.graph.initializer if tensor.name not in external]
        assert max(embedded, default=0) < onnx_files.EXTERNAL_BYTES + 64


def test_graphs_carry_no_notes_and_a_named_batch(exported: Path) -> None:
    model = onnx.load(exported / "morphing_morph_gradient.onnx", load_external_data=False)
    assert not model.metadata_props and not model.graph.value_info and not model.functions
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert [_sizes(value) for value in model.graph.input] == [["batch", LATENTS], ["batch", CLASSES]]
    assert [value.name for value in model.graph.output] == ["gradient", "logits"]


def _sizes(value: onnx.ValueInfoProto) -> list[Any]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_networks_json_describes_what_was_exported(exported: Path) -> None:
    described = tables.read(exported)
    assert (described.image_shape, described.classes) == (IMAGE_SHAPE, CLASSES)
    assert described.spaces["morphing"].roles == ("morphing",)
    assert set(described.graphs) == {path.name for path in exported.glob("*.onnx")}


def test_a_graph_that_differs_leaves_no_bundle(tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shapes" / "1"
    shutil.copytree(exported, folder)
    before = _contents(folder)
    trained = replace(untrained(seed=5), spaces={})
    with torch.no_grad():
        trained.classifier[0].bias[0] = float("nan")  # type: ignore[operator]
    with pytest.raises(ParityFailed, match="classifier"):
        export_untrained(folder, trained)
    assert _contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_the_index_finds_by_content_and_shape(exported: Path) -> None:
    weights = load_file(exported / tables.WEIGHTS)
    index = onnx_files.WeightIndex(exported / tables.WEIGHTS)
    kernel = weights["classifier.0.weight"]
    found = index.find(kernel)
    assert found is not None and found.name == "classifier.0.weight"
    assert index.find(kernel + 1) is None
    assert index.find(kernel.reshape(-1)) is None
    assert index.find(kernel.astype(np.float64)) is None
