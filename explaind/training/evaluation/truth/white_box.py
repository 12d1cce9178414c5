"""A bundle's networks in torch, where single layers can be reached, and the same with layers made random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from explaind.backends import networks as tables
from explaind.backends import torch_operations as compute
from explaind.backends import weights as stored_weights
from explaind.backends.torch import TorchAutoencoder, TorchClassifier, TorchMorphGradient
from explaind.errors import ParameterOutOfRange
from explaind.explanations.models import FloatArray, MorphingModels, RankingModels
from explaind.training.evaluation.subject import Subject

Weights = Mapping[str, FloatArray]

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class WhiteBox:
    """network: the classifier, frozen, in eval mode. morphing, ranking: the same classifier with the bundle's
    autoencoders."""

    network: nn.Sequential
    morphing: MorphingModels
    ranking: RankingModels


def open_white_box(subject: Subject, weights: Weights | None = None) -> WhiteBox:
    """weights: None: the bundle's own. Raises BundleInvalid for a damaged bundle."""
    torch.set_num_threads(1)
    networks = tables.read(subject.folder)
    chosen = stored_weights.read(subject.folder) if weights is None else weights
    network = compute.open_classifier(networks, chosen)
    served = TorchClassifier(network, networks, _CPU)
    encoder, decoder = compute.open_autoencoder(networks, subject.morphing_name, chosen)
    latents = networks.spaces[subject.morphing_name].latents
    ranking = compute.open_autoencoder(networks, subject.ranking_name, chosen)
    return WhiteBox(
        network=network,
        morphing=MorphingModels(
            classifier=served,
            classifier_gradient=served,
            autoencoder=TorchAutoencoder(encoder, decoder, networks, _CPU),
            morph_gradient=TorchMorphGradient(decoder, network, latents, networks.classes, _CPU),
        ),
        ranking=RankingModels(served, TorchAutoencoder(*ranking, networks, _CPU)),
    )


def classifier_layers(weights: Weights) -> tuple[int, ...]:
    """Places of the classifier's layers that have weights, from the top (its logits) down."""
    names = (name.split(".") for name in weights if name.startswith("classifier."))
    return tuple(sorted({int(parts[1]) for parts in names}, reverse=True))


def randomised(weights: Weights, layers: Sequence[int], seed: int) -> dict[str, FloatArray]:
    """All weights, those of the named classifier layers shuffled: the same values in places that mean nothing.

    Shuffled and not drawn anew, so that no layer's scale changes. Raises ParameterOutOfRange for a layer that has none.
    """
    unknown = set(layers) - set(classifier_layers(weights))
    if unknown:
        raise ParameterOutOfRange(f"The classifier has no weights in layer {min(unknown)}.", field="layers")
    result = dict(weights)
    for layer in layers:
        generator = np.random.default_rng((seed, layer))  # a layer's shuffle does not depend on the others
        for name in sorted(weights):
            if name.startswith(f"classifier.{layer}."):
                result[name] = generator.permutation(weights[name].reshape(-1)).reshape(weights[name].shape)
    return result
