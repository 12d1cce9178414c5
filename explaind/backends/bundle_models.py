"""What opening a bundle with a backend gives: the Protocols of `explanations.models`, made real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from explaind.explanations.models import Autoencoder, Classifier, ClassifierGradient, MorphGradient


def _nothing() -> None:
    """A backend in this process holds nothing that must be closed and needs nothing outside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleModels:
    """backend: `onnx`, `torchserve` or `torch`. device: what it computes on, as in `CPU` or `CUDA`.

    classifier_gradient None: the bundle has forward graphs only, so it cannot serve path masks. autoencoders: by
    latent space. morph_gradients: by latent space, for those with the morphing role. All may be called from
    several threads at once, until `close`. check: raises BackendUnavailable where something that the backend needs
    outside this process is not ready, without computing anything.
    """

    backend: str
    classifier: Classifier
    classifier_gradient: ClassifierGradient | None
    autoencoders: dict[str, Autoencoder]
    morph_gradients: dict[str, MorphGradient]
    device: str = "CPU"
    close: Callable[[], None] = field(default=_nothing)
    check: Callable[[], None] = field(default=_nothing)
