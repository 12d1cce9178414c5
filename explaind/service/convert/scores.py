"""What the engine found of a batch, as the parallel arrays of a ScoreAnomaliesResponse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.rpc import status_pb2
from numpy.typing import ArrayLike, NDArray

from explaind.explanations.types import AnomalyBatch, AnomalyScoreParameters
from explaind.requests import ScoreResult
from explaind.service.convert.enums import enum_to_proto
from explaind.service.convert.results import LOSSES, provenance_fields
from explaind.v1 import explanation_service_pb2


def score_result_to_proto(
    result: ScoreResult,
    statuses: Sequence[tuple[int, status_pb2.Status]],
    *,
    parameters: AnomalyScoreParameters,
    image_count: int,
    request_id: str = "",
) -> explanation_service_pb2.ScoreAnomaliesResponse:
    """One entry an image, NaN and class −1 where `statuses` (place, status) says why there is none."""
    places = np.asarray(result.indices, dtype=np.intp)
    classes = np.full(image_count, -1, dtype=np.int32)
    classes[places] = [p.class_index for p in result.predictions]
    return explanation_service_pb2.ScoreAnomaliesResponse(
        model=result.model,
        model_version=result.model_version,
        detector=enum_to_proto(parameters.detector),
        class_indices=classes,
        class_probabilities=_spread([p.probability for p in result.predictions], places, image_count),
        threshold=result.threshold,
        errors=[explanation_service_pb2.ItemError(index=index, status=status) for index, status in statuses],
        provenance=provenance_fields(bundle_digest=result.bundle_digest, timings=result.timings, request_id=request_id),
        **_columns(result.batch, places, image_count),
    )


def _columns(batch: AnomalyBatch | None, places: NDArray[np.intp], image_count: int) -> dict[str, Any]:
    columns: dict[str, ArrayLike] = {name: [] if batch is None else getattr(batch.losses, name) for name in LOSSES}
    columns["scores"] = [] if batch is None else batch.scores
    columns["p_values"] = [] if batch is None else batch.p_values
    columns["kl"] = [] if batch is None else batch.kl
    columns["mean_norm"] = [] if batch is None else batch.mean_norms
    anomalous = np.zeros(image_count, dtype=np.bool_)
    anomalous[places] = [] if batch is None else batch.anomalous
    return {name: _spread(values, places, image_count) for name, values in columns.items()} | {"anomalous": anomalous}


def _spread(values: ArrayLike, places: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """values (n,) put at `places` of `count`, NaN elsewhere."""
    spread = np.full(count, np.nan)
    spread[places] = values
    return spread
