"""Bundles of random weights for images of any size, latents of any number: what only time depends on.

Nothing is learned: the last layers are only scaled, so that images differ by their codes, classes by their images, and
a walk has somewhere to go. What such a bundle explains means nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from explaind.backends import onnx
from explaind.backends.bundle_models import BundleModels
from explaind.backends.torch_networks import build, build_encoder
from explaind.bundles import manifest, reference
from explaind.explanations import traversal
from explaind.explanations.types import FloatArray, MorphReference, RankingReference, Reference
from explaind.training import fitted_architectures as fitted
from explaind.training.anomaly_reference import fit_anomaly
from explaind.training.export import BundleDescription, export_bundle
from explaind.training.layer_tables import FLATTEN, AutoencoderTable, ClassifierTable, Layers, conv, dense, linear
from explaind.training.trained import SpaceNetworks, Trained, fold_classifier, table_json

CLASSES = 4
LOGIT_DEVIATION, PIXEL_DEVIATION = 8.0, 2.0
"""Over codes of the prior; of a pixel before the sigmoid."""
HELD_OUT = 80


def write(store: Path, name: str, *, side: int, latents: int, ranked: int) -> Path:
    """<store>/<name>/1: grey images of side × side, a morphing space of `latents`, a ranking one of `ranked`, all
    used."""
    folder = store / name / "1"
    trained = _untrained(side, latents, ranked)
    nothing = Reference(rankings={}, anomaly=None, morph=None)
    description = BundleDescription(
        name=name,
        version="1",
        description="random weights",
        class_names=tuple("abcd"),
        roles={"morphing": ("morphing",), "ranking": ("ranking",)},
        recipe_digest="0" * 64,
        calibration_size=HELD_OUT // 2,
    )
    noise = np.random.default_rng(0).random((HELD_OUT, 1, side, side), dtype=np.float32)
    export_bundle(trained, folder, description=description, held_out=noise[:8], statistics=nothing)
    reference.save(folder / "reference.npz", _statistics(onnx.open_bundle(folder, threads=1), noise, latents, ranked))
    manifest.write(
        folder,
        name=name,
        version="1",
        description=description.description,
        class_names=description.class_names,
        image_shape=(1, side, side),
        spaces={"morphing": (latents, ["morphing"]), "ranking": (ranked, ["ranking"])},
        parity={},
        recipe_digest=description.recipe_digest,
        explanations=("prediction", "latent_ranking", "anomaly_score", "path_mask"),
        calibration_size=description.calibration_size,
    )
    return folder


def images(folder: Path, count: int, side: int) -> FloatArray:
    """(count, 1, side, side): what codes of the prior decode to, so that they are as the decoder makes them."""
    models = onnx.open_bundle(folder, threads=1)
    autoencoder = models.autoencoders["morphing"]
    latents = autoencoder.encode(np.zeros((1, 1, side, side), np.float32))[0].shape[1]
    return autoencoder.decode(np.random.default_rng(1).standard_normal((count, latents)).astype(np.float32))


def _untrained(side: int, latents: int, ranked: int) -> Trained:
    shape = (1, side, side)
    tables = {"morphing": fitted.autoencoder(shape, latents), "ranking": fitted.narrow_autoencoder(shape, ranked)}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        table = _classifier(side)
        spaces = {name: _space(each) for name, each in tables.items()}
        network = build(table.layers).eval()
        codes = torch.randn(64, latents)
        _scale(network, spaces["morphing"].decoder(codes), LOGIT_DEVIATION)
        classifier, table = fold_classifier(network, table)
    described = {"classifier": table_json(table), **{name: table_json(each) for name, each in tables.items()}}
    return Trained(classifier=classifier, spaces=spaces, judge=None, tables=described, records={})


def _classifier(side: int) -> ClassifierTable:
    """Three halvings and a dense head, as wide as [PM]'s."""
    half = [(side + 1) // 2, (side + 3) // 4, (side + 7) // 8]
    convolutions: Layers = (*conv(1, 16, 3, 2, 1), *conv(16, 32, 3, 2, 1), *conv(32, 64, 3, 2, 1))
    head: Layers = (FLATTEN, *dense(64 * half[2] ** 2, 128), linear(128, CLASSES))
    return ClassifierTable(image_shape=(1, side, side), classes=CLASSES, layers=(*convolutions, *head))


def _space(table: AutoencoderTable) -> SpaceNetworks:
    encoder = build_encoder(table.trunk, table.features, table.latents).eval()
    decoder = build(table.decoder).eval()
    _scale(decoder, torch.randn(64, table.latents), PIXEL_DEVIATION)
    return SpaceNetworks(encoder, decoder)


def _scale(network: nn.Sequential, inputs: torch.Tensor, deviation: float) -> None:
    """Every value that the last weighted layer gives varies about 0 by `deviation` over the inputs, on average."""
    place = max(n for n, part in enumerate(network) if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d))
    outputs = network[: place + 1](inputs)
    last = network[place]
    factor = deviation / outputs.std(dim=0).mean()
    last.weight.mul_(factor)
    each = outputs.movedim(1, 0).flatten(1).mean(dim=1)
    last.bias.sub_(each).mul_(factor)


def _statistics(models: BundleModels, noise: FloatArray, latents: int, ranked: int) -> Reference:
    half = HELD_OUT // 2
    autoencoder = models.autoencoders["morphing"]
    return Reference(
        rankings={"ranking": _ranking(models, ranked)},
        anomaly=fit_anomaly(autoencoder, noise[:half], noise[half:], None),
        morph=MorphReference(class_norms=np.full(CLASSES, np.sqrt(latents)), likelihood_weight=0.1),
    )


def _ranking(models: BundleModels, ranked: int) -> RankingReference:
    ranking = models.ranking("ranking")
    assert ranking is not None
    generated = traversal.global_responses(ranking, ranked)
    bins = np.zeros((ranked, 13, CLASSES), np.float32)
    return RankingReference(
        used=np.ones(ranked, bool),
        mean_kl=np.ones(ranked),
        visible_effect=np.ones(ranked),
        mean=np.zeros(ranked),
        deviation=np.ones(ranked),
        bin_counts=np.zeros((ranked, 13), np.int32),
        bin_probability=bins,
        bin_logit=bins,
        mean_probability=np.full(CLASSES, 1 / CLASSES),
        mean_logit=np.zeros(CLASSES),
        generated_probability=generated.probability,
        generated_logit=generated.log_odds,
        impurity=np.zeros(ranked),
        permutation=np.zeros(ranked),
        sobol_total=np.zeros((CLASSES, ranked)),
        forest=None,
        forest_fidelity=0.0,
    )
