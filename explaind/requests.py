"""What the fronts (gRPC, command line) hand to the engine and get back; no grpc, no protos."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from explaind.errors import ExplaindError, InvalidRequest, ParameterOutOfRange
from explaind.explanations.latent_types import LatentComparison, LatentTraversals, TraversalParameters
from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyScoreParameters,
    Detector,
    Factor,
    LatentRankingParameters,
    PathMaskParameters,
    Prediction,
    StageTiming,
)


class CostClass(StrEnum):
    """Requests of one class never wait behind another's. FAST: milliseconds; SLOW: up to seconds; REFERENCE: a minute
    of the reference solver's."""

    FAST = "fast"
    SLOW = "slow"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInput:
    """Exactly one of encoded (PNG, JPEG, WebP) and array (CHW, uint8 or float32).

    resize: bring a wrong size to the model's, else it is a ShapeMismatch. field: where it stands in the request.
    """

    encoded: bytes | None = None
    array: NDArray[np.uint8] | NDArray[np.float32] | None = None
    resize: bool = False
    field: str = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationRequest:
    """version "": the default, the highest. A None explanation was not asked for."""

    model: str
    version: str = ""
    image: ImageInput
    latent_ranking: LatentRankingParameters | None = None
    anomaly_score: AnomalyScoreParameters | None = None
    path_mask: PathMaskParameters | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """Prediction and anomaly score of many images at once."""

    model: str
    version: str = ""
    images: tuple[ImageInput, ...]
    parameters: AnomalyScoreParameters = field(default_factory=AnomalyScoreParameters)


def check_image_count(count: int, most: int) -> None:
    """Of a `ScoreRequest`. Raises InvalidRequest for none, ParameterOutOfRange for more than `most`."""
    if count < 1:
        raise InvalidRequest("The request holds no image; send batch (N×C×H×W) or encoded.", field="source")
    if count > most:
        raise ParameterOutOfRange(
            f"The request holds {count} images; send at most {most} in one message.",
            field="source",
            metadata={"max_images": str(most)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """indices: positions in the request of the images that were scored, rising; predictions and batch are parallel
    to it (batch None where no image could be read). errors: (position, error) of the others."""

    model: str
    model_version: str
    indices: tuple[int, ...]
    predictions: tuple[Prediction, ...]
    batch: AnomalyBatch | None
    errors: tuple[tuple[int, ExplaindError], ...]
    threshold: float
    bundle_digest: str
    timings: tuple[StageTiming, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """What tells two images apart. latent_space "": the bundle's ranking space."""

    model: str
    version: str = ""
    image_a: ImageInput
    image_b: ImageInput
    latent_space: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult:
    """predictions, image_digests: of A and B."""

    model: str
    model_version: str
    latent_space: str
    predictions: tuple[Prediction, Prediction]
    comparison: LatentComparison
    class_names: tuple[str, ...]
    bundle_digest: str
    image_digests: tuple[str, str] = ("", "")
    timings: tuple[StageTiming, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TraverseRequest:
    """What an image becomes as single latents are moved."""

    model: str
    version: str = ""
    image: ImageInput
    parameters: TraversalParameters = field(default_factory=TraversalParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraverseResult:
    """latent_space: the one that was walked in."""

    model: str
    model_version: str
    latent_space: str
    prediction: Prediction
    traversals: LatentTraversals
    class_names: tuple[str, ...]
    bundle_digest: str
    image_digest: str = ""
    timings: tuple[StageTiming, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendState:
    """detail: why it is not alive."""

    name: str
    alive: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorDescription:
    factor: Factor
    used: bool
    mean_kl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentSpaceDescription:
    name: str
    roles: tuple[str, ...]
    latent_count: int
    factors: tuple[FactorDescription, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationDescription:
    """threshold: the score at level 0.05."""

    detector: Detector
    image_count: int
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """Everything GetModel tells."""

    name: str
    version: str
    description: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    latent_spaces: tuple[LatentSpaceDescription, ...]
    calibrations: tuple[CalibrationDescription, ...]
    bundle_digest: str
    file_digests: dict[str, str]
    backends: tuple[BackendState, ...]
    explanations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """versions: rising, the last is the default."""

    name: str
    versions: tuple[str, ...]
    description: str
