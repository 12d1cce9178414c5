"""The same modules in this process, gradients by autograd: the reference for tests, training and the parity gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from explaind.backends import networks as tables
from explaind.backends import torch_operations as compute
from explaind.backends import weights as stored_weights
from explaind.backends.arrays import checked, in_chunks
from explaind.backends.bundle_models import BundleModels
from explaind.backends.devices import Device, wants_cuda
from explaind.backends.networks import Networks
from explaind.backends.torch_networks import Encoder
from explaind.errors import BackendUnavailable, BundleInvalid
from explaind.explanations.models import FloatArray

Operation = Callable[..., Sequence[Tensor]]


class TorchClassifier:
    def __init__(self, network: nn.Module, networks: Networks, device: torch.device) -> None:
        self._network, self._device = network, device
        self._image_shape, self._classes = networks.image_shape, networks.classes

    def logits(self, images: FloatArray) -> FloatArray:
        """images (B, C, H, W) in [0, 1] → logits (B, K)."""
        arrays = [checked("images", images, self._image_shape)]
        (logits,) = _run(self._device, lambda x: (compute.predict(self._network, x),), arrays)
        return logits

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W), weights (B, K) → gradient (B, C, H, W) of Σ_k w_k·p_k(x), probabilities (B, K)."""
        arrays = [checked("images", images, self._image_shape), checked("weights", weights, (self._classes,))]
        operation = partial(compute.gradient, self._network, of_logits=False)
        gradient, probabilities = _run(self._device, operation, arrays)
        return gradient, probabilities


class TorchAutoencoder:
    def __init__(self, encoder: Encoder, decoder: nn.Module, networks: Networks, device: torch.device) -> None:
        self._encoder, self._decoder, self._device = encoder, decoder, device
        self._image_shape, self._latents = networks.image_shape, encoder.mean.out_features

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W) → mean μ(x) and deviation σ(x), each (B, D)."""
        arrays = [checked("images", images, self._image_shape)]
        mean, deviation = _run(self._device, partial(compute.encode, self._encoder), arrays)
        return mean, deviation

    def decode(self, codes: FloatArray) -> FloatArray:
        """codes (B, D) → images (B, C, H, W) in [0, 1]."""
        arrays = [checked("codes", codes, (self._latents,))]
        (images,) = _run(self._device, lambda z: (compute.decode(self._decoder, z),), arrays)
        return images


class TorchMorphGradient:
    """The gradient of the classifier after the decoder, both in one pass."""

    def __init__(self, decoder: nn.Module, classifier: nn.Module, latents: int, classes: int, device: torch.device):
        self._composed, self._device = nn.Sequential(decoder, classifier), device
        self._latents, self._classes = latents, classes

    def logit_gradient(self, codes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """codes (B, D), weights (B, K) → gradient (B, D) of Σ_k w_k·l_k(dec(z)), logits (B, K) of dec(z)."""
        arrays = [checked("codes", codes, (self._latents,)), checked("weights", weights, (self._classes,))]
        gradient, logits = _run(self._device, partial(compute.gradient, self._composed, of_logits=True), arrays)
        return gradient, logits


def open_bundle(folder: Path, *, threads: int = 1, device: Device = "cpu") -> BundleModels:
    """Builds the networks of `networks.json` with the parameters of weights.safetensors.

    threads: of torch, for the whole process, since torch has no other setting. device: the CPU unless told otherwise,
    for this is what others are checked against.
    Raises BundleInvalid for a missing or malformed file, BackendUnavailable where there is no such device.
    """
    networks = tables.read(folder)
    weights = stored_weights.read(folder)
    place = _prepare(device, threads)
    with _misfits_named(folder):
        classifier = compute.open_classifier(networks, weights).to(place)
        spaces = {name: compute.open_autoencoder(networks, name, weights) for name in networks.spaces}
    for encoder, decoder in spaces.values():
        encoder.to(place)
        decoder.to(place)
    return assemble(networks, classifier, spaces, place)


def assemble(
    networks: Networks,
    classifier: nn.Module,
    spaces: Mapping[str, tuple[Encoder, nn.Module]],
    place: torch.device,
    *,
    gradients: bool = True,
) -> BundleModels:
    """Modules that are on `place` already, as a bundle's models. gradients: the classifier has them."""
    served = TorchClassifier(classifier, networks, place)
    return BundleModels(
        backend="torch",
        classifier=served,
        classifier_gradient=served if gradients else None,
        autoencoders={name: TorchAutoencoder(*pair, networks, place) for name, pair in spaces.items()},
        morph_gradients={
            name: TorchMorphGradient(spaces[name][1], classifier, space.latents, networks.classes, place)
            for name, space in networks.spaces.items()
            if "morphing" in space.roles and gradients
        },
        device=place.type.upper(),
    )


@contextmanager
def _misfits_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError) as exc:
        raise BundleInvalid(
            f"{folder / tables.WEIGHTS} and {tables.FILE_NAME} do not fit each other ({exc}): "
            "copy the bundle again or build it with `explaind train`."
        ) from exc


def _prepare(device: Device, threads: int) -> torch.device:
    on_cuda = wants_cuda(device) and (device == "cuda" or torch.cuda.is_available())
    if on_cuda:
        if not torch.cuda.is_available():
            raise BackendUnavailable("The torch backend was asked for CUDA and finds no device; use the CPU.")
        # TF32 rounds to 10 bits, which the parity gate's 1e-4 would not survive.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(threads)
    return torch.device("cuda" if on_cuda else "cpu")


def _run(device: torch.device, operation: Operation, arrays: Sequence[FloatArray]) -> list[FloatArray]:
    def run(*chunk: FloatArray) -> list[FloatArray]:
        # A copy: torch aligns its own memory, so that equal inputs take the same path and give the same bits.
        outputs = operation(*(torch.tensor(array, device=device) for array in chunk))
        return [compute.to_array(output) for output in outputs]

    with _failing_as_unavailable():
        return in_chunks(run, arrays)


@contextmanager
def _failing_as_unavailable() -> Iterator[None]:
    """torch raises RuntimeError for everything, its CUDA and memory errors too."""
    try:
        yield
    except (RuntimeError, MemoryError) as exc:
        raise BackendUnavailable(
            f"The torch backend failed: {exc}. Another backend may serve; see the log.", metadata={"backend": "torch"}
        ) from exc
