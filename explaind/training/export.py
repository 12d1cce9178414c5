"""Trained networks → a bundle folder: graphs, weights, archives, probe and manifest, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto
from safetensors.torch import save_file
from torch import Tensor, nn

from explaind.backends import networks as tables
from explaind.backends import onnx as onnx_backend
from explaind.backends import probe
from explaind.backends import torch as torch_backend
from explaind.backends.bundle_models import BundleModels
from explaind.backends.networks import Networks, SpaceTable
from explaind.bundles import manifest, reference
from explaind.bundles.manifest import Manifest
from explaind.explanations.models import FloatArray
from explaind.explanations.types import Reference
from explaind.training import onnx_files, parity
from explaind.training.archive import write_archives
from explaind.training.folder_swap import replacing
from explaind.training.foreign.onnx_program import OnnxProgram, prepared_graph
from explaind.training.foreign.preparation import PreparedClassifier
from explaind.training.foreign.program_gradients import PROGRAM_DECOMPOSITIONS
from explaind.training.gradient_graphs import Function, morph_gradient, probability_gradient, trace
from explaind.training.trained import Trained

PROBE_IMAGES = 4
PROBE_CANDIDATES = 64
ALL_BACKENDS = ("onnx", "torchserve", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDescription:
    """What a bundle says of itself. roles: by latent space. recipe_digest: of the recipe it was built from.
    calibration_size: held-out images behind the p-values, 0 without an anomaly score."""

    name: str
    version: str
    description: str
    class_names: tuple[str, ...]
    roles: Mapping[str, tuple[manifest.Role, ...]]
    recipe_digest: str
    calibration_size: int = 0


@dataclass(frozen=True, slots=True)
class _Graph:
    """One ONNX file: a module, its example inputs by name and the names of its outputs."""

    file: str
    module: Callable[[], nn.Module]
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]


def export_bundle(
    trained: Trained, folder: Path, *, description: BundleDescription, held_out: FloatArray, statistics: Reference
) -> Manifest:
    """Writes the bundle `folder`, replacing what was there.

    held_out: images (N, C, H, W) in [0, 1], N ≥ 4, that no network was fitted on: the parity gate's. The same
    networks, images and statistics give the same bytes on one machine.
    Raises ParityFailed, and ConfigurationError where the model store cannot be written; either leaves `folder` as
    it was.
    """
    with _single_threaded(), replacing(folder) as partial:
        networks = _describe(trained, description)
        tables.write(partial, networks)
        save_file(trained.parameters(), partial / tables.WEIGHTS)
        _write_graphs(trained, networks, partial)
        worst = _check_and_probe(trained, partial, networks, held_out)
        reference.save(partial / "reference.npz", statistics)
        if networks.classifier:  # an archive is made of layer tables, which a foreign program has none of
            write_archives(description.name, description.version, partial)
        return _write_manifest(partial, networks, description, statistics, worst)


def _describe(trained: Trained, description: BundleDescription) -> Networks:
    table = trained.tables["classifier"]
    networks = Networks(
        image_shape=tuple(table["image_shape"]),
        classes=table["classes"],
        classifier=tuple(table["layers"]),
        spaces={name: _space(trained.tables[name], description.roles[name]) for name in sorted(trained.spaces)},
    )
    graphs = tuple(graph.file for graph in _graphs(trained, networks))
    return replace(networks, graphs=graphs)


def _space(table: Mapping[str, object], roles: tuple[str, ...]) -> SpaceTable:
    return SpaceTable(roles=roles, **{key: value for key, value in table.items() if key != "image_shape"})  # type: ignore[arg-type]


def _graphs(trained: Trained, networks: Networks) -> list[_Graph]:
    rows = _example_rows(networks)
    images, weights = torch.zeros(rows, *networks.image_shape), torch.ones(rows, networks.classes)
    classifier, differentiable = trained.classifier, has_gradients(trained.classifier)
    graphs = [_forward(tables.CLASSIFIER_GRAPH, classifier, {"images": images}, ("logits",))]
    if differentiable:
        inputs = {"images": images, "weights": weights}
        function = probability_gradient(classifier)
        graphs.append(_gradient(tables.GRADIENT_GRAPH, function, (classifier,), inputs, "probabilities"))
    for name, space in networks.spaces.items():
        encoder, decoder = trained.spaces[name]
        codes = torch.zeros(rows, space.latents)
        graphs += [
            _forward(tables.encoder_graph(name), encoder, {"images": images}, ("mean", "deviation")),
            _forward(tables.decoder_graph(name), decoder, {"codes": codes}, ("images",)),
        ]
        if "morphing" in space.roles and differentiable:
            inputs = {"codes": codes, "weights": weights}
            function = morph_gradient(decoder, classifier)
            graphs.append(_gradient(tables.morph_graph(name), function, (decoder, classifier), inputs, "logits"))
    return graphs


def has_gradients(classifier: nn.Module) -> bool:
    """Every network of ours has them; a foreign one may be a graph that only computes forward."""
    return classifier.gradients if isinstance(classifier, PreparedClassifier) else True


def _example_rows(networks: Networks) -> int:
    """A batch that no other size equals: torch takes equal sizes for the same size, and 1 for a constant."""
    sizes = {*networks.image_shape, networks.classes, *(space.latents for space in networks.spaces.values())}
    return next(rows for rows in range(2, len(sizes) + 3) if rows not in sizes)


def _forward(file: str, module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...]) -> _Graph:
    return _Graph(file, lambda: module, inputs, outputs)


def _gradient(
    file: str, function: Function, frozen: tuple[nn.Module, ...], inputs: Mapping[str, Tensor], value: str
) -> _Graph:
    foreign = any(isinstance(module, PreparedClassifier) for module in frozen)
    table = PROGRAM_DECOMPOSITIONS if foreign else None
    return _Graph(file, lambda: trace(function, tuple(inputs.values()), frozen, table), inputs, ("gradient", value))


def _write_graphs(trained: Trained, networks: Networks, folder: Path) -> None:
    models = {graph.file: _model(graph, networks.classes) for graph in _graphs(trained, networks)}
    if isinstance(trained.classifier, PreparedClassifier):
        index = onnx_files.WeightIndex(folder / tables.WEIGHTS)
        constants = onnx_files.unstored_weights(models.values(), index)
        save_file({**trained.parameters(), **constants}, folder / tables.WEIGHTS)
    index = onnx_files.WeightIndex(folder / tables.WEIGHTS)
    for file, model in models.items():
        onnx_files.write(folder / file, model, index)


def _model(graph: _Graph, classes: int) -> ModelProto:
    module = graph.module()
    if isinstance(module, PreparedClassifier) and isinstance(module.program, OnnxProgram):
        return prepared_graph(module.program, module.preparation, classes)
    return onnx_files.export(module, graph.inputs, graph.outputs)


def _check_and_probe(trained: Trained, folder: Path, networks: Networks, held_out: FloatArray) -> dict[str, float]:
    """The gate on all held-out images, and a few of them with PyTorch's answers as the probe."""
    exported = onnx_backend.open_bundle(folder, threads=1, device="cpu")
    pytorch = _in_pytorch(trained, folder, networks)
    images = np.ascontiguousarray(held_out, dtype=np.float32)
    asked = probe.questions(pytorch, images, networks.classes)
    foreign = isinstance(trained.classifier, PreparedClassifier)
    worst = parity.check(exported, pytorch, asked, many_kinks=foreign)
    candidates = asked.take(np.arange(min(len(images), PROBE_CANDIDATES)))
    asked = candidates.take(parity.steadiest_rows(pytorch, candidates, PROBE_IMAGES))
    # A large network's gradients are the graphs' own, which have passed: PyTorch's are from the other side of a kink.
    probe.write(folder, asked, probe.answers(exported if foreign else pytorch, asked))
    return worst


def _in_pytorch(trained: Trained, folder: Path, networks: Networks) -> BundleModels:
    """What the graphs must agree with: the bundle's own files in torch; with a foreign classifier, that program."""
    if networks.classifier:
        return torch_backend.open_bundle(folder, threads=1)
    return torch_backend.assemble(
        networks, trained.classifier, trained.spaces, torch.device("cpu"), gradients=has_gradients(trained.classifier)
    )


def _write_manifest(
    folder: Path, networks: Networks, description: BundleDescription, statistics: Reference, worst: dict[str, float]
) -> Manifest:
    return manifest.write(
        folder,
        name=description.name,
        version=description.version,
        description=description.description,
        class_names=description.class_names,
        image_shape=networks.image_shape,
        spaces={name: (space.latents, description.roles[name]) for name, space in networks.spaces.items()},
        parity=worst,
        recipe_digest=description.recipe_digest,
        explanations=_explanations(description, statistics, networks),
        backends=ALL_BACKENDS if networks.classifier else ("onnx",),
        calibration_size=description.calibration_size,
    )


def _explanations(
    description: BundleDescription, statistics: Reference, networks: Networks
) -> list[manifest.ExplanationName]:
    found: list[manifest.ExplanationName] = ["prediction"]
    if any("ranking" in description.roles[space] for space in statistics.rankings):
        found.append("latent_ranking")
    if statistics.anomaly is not None:
        found.append("anomaly_score")
    if statistics.morph is not None and tables.GRADIENT_GRAPH in networks.graphs:
        found.append("path_mask")
    return found


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Sums in one order, whatever the machine has cores: the probe's answers must not depend on them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
