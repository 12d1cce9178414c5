"""What opening a bundle with a backend gives: the Protocols of `explanations.models`, made real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from explaind.explanations.models import (
    Autoencoder,
    Classifier,
    ClassifierGradient,
    MorphGradient,
    MorphingModels,
    RankingModels,
    Scorer,
)


def _nothing() -> None:
    """A backend in this process holds nothing that must be closed and needs nothing outside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleModels:
    """backend: `onnx`, `torchserve` or `torch`. device: what it computes on, as in `CPU` or `CUDA`.

    classifier_gradient None: the bundle has forward graphs only, so it cannot serve path masks. autoencoders: by
    latent space. morph_gradients: by latent space, for those with the morphing role. scorers: by latent space, where
    all that an anomaly score asks is one call of the backend; the other models say the same. All may be called from
    several threads at once, until `close`. check: raises BackendUnavailable where something that the backend needs
    outside this process is not ready, without computing anything.
    """

    backend: str
    classifier: Classifier
    classifier_gradient: ClassifierGradient | None
    autoencoders: dict[str, Autoencoder]
    morph_gradients: dict[str, MorphGradient]
    scorers: dict[str, Scorer] = field(default_factory=dict)
    device: str = "CPU"
    close: Callable[[], None] = field(default=_nothing)
    check: Callable[[], None] = field(default=_nothing)

    def ranking(self, space: str) -> RankingModels | None:
        """What a ranking in that latent space asks; None where the bundle has no such space."""
        autoencoder = self.autoencoders.get(space)
        return RankingModels(self.classifier, autoencoder) if autoencoder else None

    def morphing(self, space: str) -> MorphingModels | None:
        """What a path mask in that latent space asks; None where the bundle has no such space or no gradients."""
        autoencoder, gradient = self.autoencoders.get(space), self.morph_gradients.get(space)
        if autoencoder is None or gradient is None or self.classifier_gradient is None:
            return None
        return MorphingModels(self.classifier, self.classifier_gradient, autoencoder, gradient, self.scorers.get(space))
