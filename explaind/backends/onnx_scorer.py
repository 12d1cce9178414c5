"""A bundle's classifier, encoder and decoder and the losses of a reconstruction as one graph (DESIGN §3.2, §4).

What an anomaly score costs beside its networks is then a few dozen small operators instead of as many NumPy calls and
two more calls of sessions, which cost most where requests come with pauses and the processor's caches are cold. It is
built when the bundle is opened, of the bundle's own graphs, whose weights it refers to.
"""

from __future__ import annotations

import logging
from typing import Any

from google.protobuf.message import DecodeError

from explaind.backends.arrays import checked, in_chunks
from explaind.backends.networks import Networks
from explaind.backends.onnx_joining import DOUBLE, CannotJoin, Joined
from explaind.backends.onnx_loss_operators import LEAST_OPERATORS, Sizes, Statistics, fits
from explaind.backends.onnx_sessions import Session
from explaind.backends.onnx_stubs import graph_pb2 as pb
from explaind.explanations.measurement import STATISTICS
from explaind.explanations.models import FloatArray, Measured

_log = logging.getLogger(__name__)


class OnnxScorer:
    """`explanations.measurement.Scorer`, of one latent space."""

    def __init__(self, session: Session, networks: Networks) -> None:
        self._session = session
        self._image_shape = networks.image_shape

    def measure(self, images: FloatArray) -> Measured:
        """images: float32 (B, C, H, W) in [0, 1]."""
        outputs: list[Any] = in_chunks(self._session.run, [checked("images", images, self._image_shape)])
        return Measured(*outputs)


def scorer_name(space: str) -> str:
    """As a bundle's graphs are named, though no file is."""
    return f"{space}_scorer.onnx"


def scorer_graph(classifier: bytes, encoder: bytes, decoder: bytes, *, networks: Networks, space: str) -> bytes | None:
    """images (B, C, H, W) → what `Measured` holds, in its order, as one ONNX graph of three.

    None where they cannot be joined, as for images under 11 pixels or graphs of older operators: then the parts serve.
    """
    channels, height, width = networks.image_shape
    if not fits(height, width):
        return None
    try:
        parts = [pb.Model.FromString(part) for part in (classifier, encoder, decoder)]
        return _joined(parts, Sizes(channels, height, width, networks.spaces[space].latents), networks.classes, space)
    except (CannotJoin, DecodeError, ValueError) as error:
        _log.info("anomaly scores of %s are computed in parts: %s", space, error)
        return None


def _joined(parts: list[pb.Model], sizes: Sizes, classes: int, space: str) -> bytes:
    classifier, encoder, decoder = parts
    graph, shape = Joined(f"{space}_scorer"), (sizes.channels, sizes.height, sizes.width)
    images = graph.input("images", shape)
    (logits,) = graph.include(classifier, "classifier", [images])
    mean, deviation = graph.include(encoder, "encoder", [images])
    (rebuilt,) = graph.include(decoder, "decoder", [mean])
    if graph.version() < LEAST_OPERATORS:
        raise CannotJoin(f"operators of version {graph.version()}")
    statistics = Statistics(graph, sizes).of(images, rebuilt, mean, deviation)
    graph.output("logits", logits, (classes,))
    graph.output("mean", mean, (sizes.latents,))
    graph.output("deviation", deviation, (sizes.latents,))
    graph.output("reconstructions", rebuilt, shape)
    graph.output("statistics", statistics, (len(STATISTICS),), DOUBLE)
    return graph.serialized()
