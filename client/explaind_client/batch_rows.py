"""The table a batch writes: one row an image, an error where there is no answer."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.errors import ExplaindError
from explaind_client.images import to_array

Row = dict[str, object]
LOSSES = (
    "mse", "mae", "cosine_distance", "ssim", "cross_entropy", "color_cross_entropy", "cross_entropy_excess",
)  # fmt: skip
MASK_NUMBERS = (
    "objective", "stationarity_gap", "probability_change", "completeness_gap", "latent_distance", "other_p_value",
)  # fmt: skip


def schema(class_names: Sequence[str], *, ranking: bool, mask: bool) -> pa.Schema:
    """Columns of the table. Null wherever `error` is set; class_name is dictionary-encoded by the file format."""
    fields = [("path", pa.string()), ("model", pa.string()), ("model_version", pa.string())]
    fields += [("bundle_digest", pa.string()), ("class_index", pa.int32()), ("class_name", pa.string())]
    fields += [("probability", pa.float32()), ("p_value", pa.float64()), ("score", pa.float64())]
    fields += [("anomalous", pa.bool_()), *((name, pa.float64()) for name in LOSSES)]
    fields += [("kl", pa.float64()), ("mean_norm", pa.float64())]
    if ranking:
        latent = pa.struct([("label", pa.string()), ("importance", pa.float64()), ("direction", pa.float64())])
        fields += [("latents", pa.list_(latent))]
    if mask:
        fields += [("outcome", pa.string()), ("self_class", pa.int32()), ("other_class", pa.int32())]
        fields += [*((name, pa.float64()) for name in MASK_NUMBERS), ("morph_steps", pa.int32())]
        fields += [("attribution", pa.list_(pa.float32()))]
    fields += [("error_reason", pa.string()), ("error", pa.string())]
    return pa.schema(fields)


class RowMaker:
    """Rows of one model. class_names: by class index."""

    def __init__(self, model: str, version: str, digest: str, class_names: Sequence[str]) -> None:
        self.digest, self._class_names = digest, tuple(class_names)
        self._common: Row = {"model": model, "model_version": version, "bundle_digest": digest}

    def failed(self, name: str, error: ExplaindError) -> Row:
        # The field names a place in a message that nobody who reads the table has seen.
        message = error.message.replace(error.field, "image") if error.field else error.message
        return {**self._common, "path": name, "error_reason": error.reason, "error": message}

    def scored(self, name: str, answer: service_pb.ScoreAnomaliesResponse, index: int) -> Row:
        """Row of the image at `index` of a batch's parallel arrays."""
        scored = {column: getattr(answer, column)[index] for column in (*LOSSES, "kl", "mean_norm", "anomalous")}
        return {
            **self._common,
            **scored,
            **self._predicted(answer.class_indices[index], answer.class_probabilities[index]),
            "path": name,
            "p_value": answer.p_values[index],
            "score": answer.scores[index],
        }

    def explained(self, name: str, answer: service_pb.ExplainResponse) -> Row:
        row: Row = {**self._common, "path": name}
        row |= self._predicted(answer.prediction.class_index, answer.prediction.probability)
        if answer.HasField("anomaly_score"):
            row |= _anomaly(answer.anomaly_score)
        if answer.HasField("latent_ranking"):
            row |= _ranking(answer.latent_ranking)
        if answer.HasField("path_mask"):
            row |= _mask(answer.path_mask)
        return row

    def _predicted(self, index: int, probability: float) -> Row:
        name = self._class_names[index] if 0 <= index < len(self._class_names) else ""
        return {"class_index": index, "class_name": name, "probability": probability}


def _anomaly(anomaly: pb.AnomalyScore) -> Row:
    row: Row = {name: getattr(anomaly.losses, name) for name in LOSSES}
    return row | {name: getattr(anomaly, name) for name in ("p_value", "score", "anomalous", "kl", "mean_norm")}


def _ranking(ranking: pb.LatentRanking) -> Row:
    latents = ({"label": z.label, "importance": z.importance, "direction": z.direction} for z in ranking.latents)
    return {"latents": list(latents)}


def _mask(mask: pb.PathMask) -> Row:
    row: Row = {name: getattr(mask, name) for name in (*MASK_NUMBERS, "self_class", "other_class", "morph_steps")}
    row["outcome"] = pb.PathMaskOutcome.Name(mask.outcome).removeprefix("PATH_MASK_OUTCOME_").lower()
    if mask.attribution.values:
        row["attribution"] = to_array(mask.attribution).ravel().tolist()
    return row
