"""A bundle's models with their calls batched: the same Protocols, the same results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from explaind.backends.arrays import CHUNK_ROWS, in_chunks
from explaind.backends.bundle_models import BundleModels
from explaind.engine.batching.batcher import Batcher
from explaind.engine.batching.graph import Compute, Graph, Observe, Outputs, layout
from explaind.explanations.models import (
    Autoencoder,
    Classifier,
    ClassifierGradient,
    FloatArray,
    Measured,
    MorphGradient,
    Scorer,
)

Run = Callable[..., Outputs]


class BatchedClassifier:
    """Its calls share the batcher's slots, and a call of the backend with others."""

    def __init__(self, classifier: Classifier, share: Callable[[Compute], Run]) -> None:
        self._logits = share(lambda images: (classifier.logits(images),))

    def logits(self, images: FloatArray) -> FloatArray:
        """images (B, C, H, W) in [0, 1] → logits (B, K)."""
        (logits,) = self._logits(images)
        return logits


class BatchedClassifierGradient:
    """As `BatchedClassifier`."""

    def __init__(self, gradient: ClassifierGradient, share: Callable[[Compute], Run]) -> None:
        self._gradient = share(gradient.probability_gradient)

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W), weights (B, K) → gradient (B, C, H, W) of Σ_k w_k·p_k(x), probabilities (B, K)."""
        gradient, probabilities = self._gradient(images, weights)
        return gradient, probabilities


class BatchedAutoencoder:
    """As `BatchedClassifier`; encoding and decoding are graphs of their own."""

    def __init__(self, autoencoder: Autoencoder, share: Callable[[Compute], Run]) -> None:
        self._encode = share(autoencoder.encode)
        self._decode = share(lambda codes: (autoencoder.decode(codes),))

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W) → mean μ(x) and deviation σ(x), each (B, D)."""
        mean, deviation = self._encode(images)
        return mean, deviation

    def decode(self, codes: FloatArray) -> FloatArray:
        """codes (B, D) → images (B, C, H, W) in [0, 1]."""
        (images,) = self._decode(codes)
        return images


class BatchedMorphGradient:
    """As `BatchedClassifier`."""

    def __init__(self, gradient: MorphGradient, share: Callable[[Compute], Run]) -> None:
        self._gradient = share(gradient.logit_gradient)

    def logit_gradient(self, codes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """codes (B, D), weights (B, K) → gradient (B, D) of Σ_k w_k·l_k(dec(z)), logits (B, K) of dec(z)."""
        gradient, logits = self._gradient(codes, weights)
        return gradient, logits


class BatchedScorer:
    """As `BatchedClassifier`."""

    def __init__(self, scorer: Scorer, share: Callable[[Compute], Run]) -> None:
        self._measure = share(scorer.measure)

    def measure(self, images: FloatArray) -> Measured:
        """images (B, C, H, W) in [0, 1]."""
        return Measured(*self._measure(images))


def batched(models: BundleModels, batcher: Batcher, observe: Observe) -> BundleModels:
    """`models` with calls that share `batcher`'s slots, each graph's with its own kind. Closing refuses what
    waits and what comes."""
    graphs: list[Graph] = []

    def share(compute: Compute) -> Run:
        graphs.append(Graph(compute, observe))
        return _shared(batcher, graphs[-1])

    def close() -> None:
        # No lock: the garbage collector calls this in whatever thread it runs in, also in one that holds the batcher's.
        for graph in graphs:
            graph.closed = True
        models.close()

    gradient = models.classifier_gradient
    return replace(
        models,
        classifier=BatchedClassifier(models.classifier, share),
        classifier_gradient=BatchedClassifierGradient(gradient, share) if gradient else None,
        autoencoders={space: BatchedAutoencoder(each, share) for space, each in models.autoencoders.items()},
        morph_gradients={space: BatchedMorphGradient(each, share) for space, each in models.morph_gradients.items()},
        scorers={space: BatchedScorer(each, share) for space, each in models.scorers.items()},
        close=close,
    )


def _shared(batcher: Batcher, graph: Graph) -> Run:
    """A call of more rows than a backend computes at once gives way to others between its pieces; where cores idle, a
    large one is spread over them."""

    whole = min(CHUNK_ROWS, batcher.spreading.whole)

    def piece(*arrays: FloatArray) -> Outputs:
        return batcher.run(graph, arrays)

    def run(*arrays: FloatArray) -> Outputs:
        rows = len(arrays[0]) if arrays[0].ndim else 0
        if rows <= whole:
            return batcher.run(graph, arrays)
        hands = batcher.spreading.hands(rows, batcher.idle)
        if max(hands - 1, rows - CHUNK_ROWS) <= 0 or not layout(arrays):
            return batcher.run(graph, arrays)
        return batcher.spreading.run(piece, arrays, hands) if hands > 1 else tuple(in_chunks(piece, arrays))

    return run
