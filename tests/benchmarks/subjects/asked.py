"""What is asked in the benchmarks: the same twenty digits in every arm, in the engine's words and in the service's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters
from explaind.requests import ExplanationRequest, ImageInput
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb

ROOT = Path(__file__).parents[3]
MODEL = "mnist"
DIGITS = 20

RANKING, ANOMALY, MASK = "latent ranking", "anomaly score", "path mask"
PREDICTION, ALL, BOTH, SCORED = "prediction", "all three", "ranking + anomaly", "prediction + anomaly"
_PARAMETERS: Mapping[str, tuple[str, Any, Any]] = {
    RANKING: ("latent_ranking", LatentRankingParameters, pb.LatentRankingParameters),
    ANOMALY: ("anomaly_score", AnomalyScoreParameters, pb.AnomalyScoreParameters),
    MASK: ("path_mask", PathMaskParameters, pb.PathMaskParameters),
}
ASKED: Mapping[str, tuple[str, ...]] = {
    PREDICTION: (),
    RANKING: (RANKING,),
    ANOMALY: (ANOMALY,),
    BOTH: (RANKING, ANOMALY),
    MASK: (MASK,),
    ALL: (RANKING, ANOMALY, MASK),
}
"""Which explanations each request asks for. Every request predicts too."""


def digits(count: int = DIGITS) -> NDArray[np.uint8]:
    """(count, 28, 28), none of which the bundle was fitted or calibrated on."""
    with np.load(ROOT / "tests/data/images.npz") as data:
        images: NDArray[np.uint8] = data["mnist"][:count]
    return images


def pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 1, H, W) in [0, 1]."""
    return images.astype(np.float32)[:, None] / 255


def engine_request(asked: str, image: NDArray[np.float32], model: str = MODEL, **mask: Any) -> ExplanationRequest:
    """mask: fields of PathMaskParameters."""
    wanted: dict[str, Any] = {_PARAMETERS[name][0]: _PARAMETERS[name][1]() for name in ASKED[asked]}
    if mask:
        wanted["path_mask"] = PathMaskParameters(**mask)
    return ExplanationRequest(model=model, image=ImageInput(array=image), **wanted)


def message(asked: str, image: NDArray[np.uint8]) -> service_pb.ExplainRequest:
    """image (28, 28), sent as a uint8 tensor."""
    tensor = pb.Tensor(shape=(1, *image.shape), dtype=pb.DATA_TYPE_UINT8, values=image.tobytes())
    wanted = {_PARAMETERS[name][0]: _PARAMETERS[name][2]() for name in ASKED[asked]}
    return service_pb.ExplainRequest(model=MODEL, image=pb.Image(tensor=tensor), **wanted)


def batch_message(images: NDArray[np.uint8]) -> service_pb.ScoreAnomaliesRequest:
    """images (N, 28, 28)."""
    shape = (len(images), 1, *images.shape[1:])
    tensor = pb.Tensor(shape=shape, dtype=pb.DATA_TYPE_UINT8, values=images.tobytes())
    return service_pb.ScoreAnomaliesRequest(model=MODEL, batch=tensor)
