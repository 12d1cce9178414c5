"""The fast path: a bundle's ONNX graphs in this process, gradients too (DESIGN §4). Imports no torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from explaind.backends import networks as tables
from explaind.backends.arrays import checked, in_chunks
from explaind.backends.bundle_models import BundleModels
from explaind.backends.devices import Device, wants_cuda
from explaind.backends.networks import Networks
from explaind.backends.onnx_convolutions import with_convolutions
from explaind.backends.onnx_cuda import open_session
from explaind.backends.onnx_relu_gradients import with_products
from explaind.backends.onnx_scorer import OnnxScorer, scorer_graph, scorer_name
from explaind.backends.onnx_sessions import Session, read_graph
from explaind.errors import BackendUnavailable, BundleInvalid
from explaind.explanations.models import FloatArray, Scorer

_log = logging.getLogger(__name__)


class OnnxClassifier:
    def __init__(self, session: Session, networks: Networks) -> None:
        self._session = session
        self._image_shape = networks.image_shape

    def logits(self, images: FloatArray) -> FloatArray:
        """images (B, C, H, W) in [0, 1] → logits (B, K)."""
        (logits,) = in_chunks(self._session.run, [checked("images", images, self._image_shape)])
        return logits


class OnnxClassifierGradient:
    def __init__(self, session: Session, networks: Networks) -> None:
        self._session = session
        self._image_shape, self._classes = networks.image_shape, networks.classes

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W), weights (B, K) → gradient (B, C, H, W) of Σ_k w_k·p_k(x), probabilities (B, K)."""
        arrays = [checked("images", images, self._image_shape), checked("weights", weights, (self._classes,))]
        gradient, probabilities = in_chunks(self._session.run, arrays)
        return gradient, probabilities


class OnnxAutoencoder:
    def __init__(self, encoder: Session, decoder: Session, networks: Networks, space: str) -> None:
        self._encoder, self._decoder = encoder, decoder
        self._image_shape, self._latents = networks.image_shape, networks.spaces[space].latents

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W) → mean μ(x) and deviation σ(x), each (B, D)."""
        mean, deviation = in_chunks(self._encoder.run, [checked("images", images, self._image_shape)])
        return mean, deviation

    def decode(self, codes: FloatArray) -> FloatArray:
        """codes (B, D) → images (B, C, H, W) in [0, 1]."""
        (images,) = in_chunks(self._decoder.run, [checked("codes", codes, (self._latents,))])
        return images


class OnnxMorphGradient:
    def __init__(self, session: Session, networks: Networks, space: str) -> None:
        self._session = session
        self._latents, self._classes = networks.spaces[space].latents, networks.classes

    def logit_gradient(self, codes: NDArray[Any], weights: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """codes (B, D), weights (B, K) → gradient (B, D) of Σ_k w_k·l_k(dec(z)), logits (B, K) of dec(z)."""
        arrays = [checked("codes", codes, (self._latents,)), checked("weights", weights, (self._classes,))]
        gradient, logits = in_chunks(self._session.run, arrays)
        return gradient, logits


def open_bundle(folder: Path, *, threads: int = 1, device: Device = "auto") -> BundleModels:
    """Opens the graphs that `networks.json` lists.

    threads: of one computation. Too many fight for cores with other requests, too few make a large batch slow.
    device: `auto` takes CUDA where the driver shows a device, else the CPU; the log says once which.
    Raises BundleInvalid for a missing or malformed file, BackendUnavailable where onnxruntime fails.
    """
    networks = tables.read(folder)
    if tables.CLASSIFIER_GRAPH not in networks.graphs:
        raise BundleInvalid(f"{folder} lists no {tables.CLASSIFIER_GRAPH}, so the onnx backend cannot serve it.")
    weights = _weights(folder / tables.WEIGHTS)

    def opened(name: str, graph: bytes | None = None) -> Session:
        content = read_graph(folder / name) if graph is None else graph
        if not wants_cuda(device):
            content = with_products(with_convolutions(content))
        return open_session(folder / name, weights=weights, threads=threads, device=device, graph=content)

    models = _models(networks, {name: opened(name) for name in networks.graphs})
    # Not on a device, where a scorer has not been measured.
    return replace(models, scorers=_scorers(folder, networks, opened)) if models.device == "CPU" else models


def _scorers(folder: Path, networks: Networks, opened: Callable[[str, bytes], Session]) -> dict[str, Scorer]:
    """By latent space with the morphing role, for which anomaly scores are calibrated."""
    found: dict[str, Scorer] = {}
    for space in (name for name, table in networks.spaces.items() if "morphing" in table.roles):
        parts = [tables.CLASSIFIER_GRAPH, tables.encoder_graph(space), tables.decoder_graph(space)]
        if not set(parts) <= set(networks.graphs):
            continue
        graph = scorer_graph(*(read_graph(folder / part) for part in parts), networks=networks, space=space)
        if graph is None:
            continue
        try:
            found[space] = OnnxScorer(opened(scorer_name(space), graph), networks)
        except (BundleInvalid, BackendUnavailable) as error:  # each part by itself has been opened
            _log.warning("anomaly scores of %s are computed in parts: %s", space, error)
    return found


def _weights(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise BundleInvalid(f"{path} cannot be read: copy the bundle again or build it with `explaind train`.") from exc


def _models(networks: Networks, sessions: dict[str, Session]) -> BundleModels:
    gradient = sessions.get(tables.GRADIENT_GRAPH)
    classifier = sessions[tables.CLASSIFIER_GRAPH]
    return BundleModels(
        backend="onnx",
        classifier=OnnxClassifier(classifier, networks),
        classifier_gradient=OnnxClassifierGradient(gradient, networks) if gradient else None,
        autoencoders={
            space: OnnxAutoencoder(
                sessions[tables.encoder_graph(space)], sessions[tables.decoder_graph(space)], networks, space
            )
            for space in networks.spaces
            if {tables.encoder_graph(space), tables.decoder_graph(space)} <= sessions.keys()
        },
        morph_gradients={
            space: OnnxMorphGradient(sessions[tables.morph_graph(space)], networks, space)
            for space in networks.spaces
            if tables.morph_graph(space) in sessions
        },
        device=classifier.device,
    )
