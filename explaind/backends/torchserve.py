"""A bundle's models as TorchServe serves them: the Protocols of `explanations.models` over gRPC (DESIGN §4).

Workers host the bundle's archives; a call is one hop, a large batch several, a morph gradient three (decode,
gradient of the logits, pullback through the decoder), because classifier and VAE live in different workers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from explaind.backends import networks as tables
from explaind.backends import torchserve_payload as wire
from explaind.backends.arrays import CHUNK_ROWS, checked, in_chunks
from explaind.backends.bundle_models import BundleModels
from explaind.backends.networks import Networks
from explaind.backends.torchserve_client import TorchServeClient
from explaind.backends.torchserve_management import ModelName, archive_model, ready_models
from explaind.errors import BackendUnavailable, BundleInvalid
from explaind.explanations.models import FloatArray

_CALL_BYTES = 4 * 1024 * 1024  # of one array in one message; TorchServe's own limit is 6.5 MB unless configured


class _Model:
    """One TorchServe model: calls it in pieces that fit a message, and checks what comes back."""

    def __init__(self, client: TorchServeClient, name: ModelName) -> None:
        self._client = client
        self._name = name

    def call(
        self, operation: str, arrays: Mapping[str, FloatArray], outputs: Mapping[str, tuple[int, ...]], **text: str
    ) -> list[FloatArray]:
        """arrays: named, each (B, …). outputs: name → shape of a row. → the outputs in order, each with B rows."""

        def run(*piece: FloatArray) -> list[FloatArray]:
            reply = self._client.call(self._name, operation, dict(zip(arrays, piece, strict=True)), **text)
            return [_expected(reply, name, (len(piece[0]), *shape)) for name, shape in outputs.items()]

        shapes = [*(array.shape[1:] for array in arrays.values()), *outputs.values()]
        return in_chunks(run, list(arrays.values()), _rows_a_call(shapes))


class TorchServeClassifier:
    """`logits`, `probability_gradient` and, for morphs, `logit_gradient_of_images`."""

    def __init__(self, model: _Model, networks: Networks) -> None:
        self._model = model
        self._image, self._classes = networks.image_shape, (networks.classes,)

    def logits(self, images: FloatArray) -> FloatArray:
        """images (B, C, H, W) in [0, 1] → logits (B, K)."""
        arrays = {"images": checked("images", images, self._image)}
        (logits,) = self._model.call(wire.PREDICT, arrays, {wire.LOGITS: self._classes})
        return logits

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W), weights (B, K) → gradient (B, C, H, W) of Σ_k w_k·p_k(x), probabilities (B, K)."""
        return self._gradient(images, weights, wire.PROBABILITIES)

    def logit_gradient_of_images(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W), weights (B, K) → gradient (B, C, H, W) of Σ_k w_k·l_k(x), logits (B, K)."""
        return self._gradient(images, weights, wire.LOGITS)

    def _gradient(self, images: FloatArray, weights: FloatArray, output: str) -> tuple[FloatArray, FloatArray]:
        arrays = {
            "images": checked("images", images, self._image),
            "weights": checked("weights", weights, self._classes),
        }
        outputs = {"gradient": self._image, output: self._classes}
        gradient, values = self._model.call(wire.GRADIENT, arrays, outputs, **{wire.OUTPUT: output})
        return gradient, values


class TorchServeAutoencoder:
    def __init__(self, model: _Model, networks: Networks, space: str) -> None:
        self._model, self._text = model, {wire.LATENT_SPACE: space}
        self._image, self._codes = networks.image_shape, (networks.spaces[space].latents,)

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W) → mean μ(x) and deviation σ(x), each (B, D)."""
        arrays = {"images": checked("images", images, self._image)}
        outputs = {"mean": self._codes, "deviation": self._codes}
        mean, deviation = self._model.call(wire.ENCODE, arrays, outputs, **self._text)
        return mean, deviation

    def decode(self, codes: FloatArray) -> FloatArray:
        """codes (B, D) → images (B, C, H, W) in [0, 1]."""
        arrays = {"codes": checked("codes", codes, self._codes)}
        (images,) = self._model.call(wire.DECODE, arrays, {"images": self._image}, **self._text)
        return images

    def pull_back(self, codes: FloatArray, cotangent: FloatArray) -> FloatArray:
        """codes (B, D), cotangent (B, C, H, W) → gradient (B, D) of Σ cotangent·dec(z)."""
        arrays = {
            "codes": checked("codes", codes, self._codes),
            "cotangent": checked("cotangent", cotangent, self._image),
        }
        (gradient,) = self._model.call(wire.DECODE_VJP, arrays, {"gradient": self._codes}, **self._text)
        return gradient


class TorchServeMorphGradient:
    def __init__(self, classifier: TorchServeClassifier, autoencoder: TorchServeAutoencoder) -> None:
        self._classifier = classifier
        self._autoencoder = autoencoder

    def logit_gradient(self, codes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """codes (B, D), weights (B, K) → gradient (B, D) of Σ_k w_k·l_k(dec(z)), logits (B, K) of dec(z)."""
        images = self._autoencoder.decode(codes)
        cotangent, logits = self._classifier.logit_gradient_of_images(images, weights)
        return self._autoencoder.pull_back(codes, cotangent), logits


def open_bundle(folder: Path, *, address: str, management: str = "", timeout_seconds: float = 10.0) -> BundleModels:
    """The models of a bundle folder whose archives a TorchServe serves.

    address: host:port of TorchServe's gRPC inference API. management: http://host:port of its management API, for
    `check`; without it a worker that is being restarted is seen only by the calls that wait for it.
    timeout_seconds: of one call. Nothing is sent here: the first call says whether anybody answers. Raises
    BundleInvalid for a folder without archives.
    """
    networks = tables.read(folder)
    client = TorchServeClient(address, timeout_seconds=timeout_seconds)
    classifier = TorchServeClassifier(_Model(client, _served(folder, "classifier")), networks)
    autoencoders = {
        space: TorchServeAutoencoder(_Model(client, _served(folder, "vae")), networks, space)
        for space in networks.spaces
    }
    return BundleModels(
        backend="torchserve",
        classifier=classifier,
        classifier_gradient=classifier,
        autoencoders=dict(autoencoders),
        morph_gradients={
            space: TorchServeMorphGradient(classifier, autoencoders[space])
            for space, table in networks.spaces.items()
            if "morphing" in table.roles
        },
        device="remote",
        close=client.close,
        check=partial(_check, management, served_models(folder)),
    )


def served_models(folder: Path) -> tuple[ModelName, ...]:
    """What TorchServe calls the models of a bundle folder; to ask `ready_models` about them."""
    return tuple(archive_model(path) for path in sorted(folder.glob("*.mar")))


def _check(management: str, models: tuple[ModelName, ...]) -> None:
    """TorchServe lets calls wait while it restarts a worker, so a call would not show it."""
    if management and not set(models) <= ready_models(management, models):
        raise BackendUnavailable(
            f"TorchServe at {management} has no READY worker for each model of this bundle; see its log.",
            metadata={"backend": "torchserve", "cause": "no_worker"},
        )


def _served(folder: Path, role: str) -> ModelName:
    found = sorted(folder.glob(f"*-{role}.mar"))
    if len(found) != 1:
        raise BundleInvalid(
            f"{folder} holds {len(found)} archives *-{role}.mar instead of one: build the bundle again."
        )
    return archive_model(found[0])


def _expected(reply: dict[str, FloatArray], name: str, shape: tuple[int, ...]) -> FloatArray:
    array = reply.get(name)
    if array is None or array.shape != shape:
        raise BackendUnavailable(
            f"TorchServe's reply lacks {name} of shape {shape}: its archives are not those of this bundle.",
            metadata={"backend": "torchserve", "cause": "wrong_reply"},
        )
    return array


def _rows_a_call(shapes: list[tuple[int, ...]]) -> int:
    widest = max(4 * math.prod(shape) for shape in shapes)
    return max(1, min(CHUNK_ROWS, _CALL_BYTES // widest))
