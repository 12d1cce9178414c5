"""Do the backends give the same answers? Each image through onnx, torch and TorchServe, compared with onnx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from explaind.backends import torch as torch_backend
from explaind.backends import torchserve
from explaind.backends.bundle_models import BundleModels
from explaind.backends.torchserve_launcher import TorchServe
from explaind.bundles.manifest import Role
from explaind.explanations import anomaly_score, latent_ranking, path_mask
from explaind.explanations.prediction import predict
from explaind.explanations.types import AnomalyScoreParameters, Explanation, LatentRankingParameters, PathMaskParameters
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject


def evaluate_backends(subject: Subject, count: int, *, with_torchserve: bool) -> dict[str, object]:
    """The first `count` evaluation images, all three explanations, each backend against onnx."""
    ours = [_explain(subject, subject.models, index) for index in range(count)]
    backends: dict[str, dict[str, float]] = {}
    with _others(subject, with_torchserve) as others:
        for name, models in others.items():
            theirs = [_explain(subject, models, index) for index in range(count)]
            backends[name] = _compare(ours, theirs)
    worst = {
        "same_class": min(b["same_class"] for b in backends.values()),
        "same_top_5": min(b["same_top_5"] for b in backends.values()),
        "p_value_difference": max(b["p_value_difference"] for b in backends.values()),
        "mask_iou": min(b["mask_iou"] for b in backends.values()),
        "mask_iou_5th_percentile": min(b["mask_iou_5th_percentile"] for b in backends.values()),
    }
    return {"images": count, "against_onnx": backends, "worst": worst}


@contextmanager
def _others(subject: Subject, with_torchserve: bool) -> Iterator[Mapping[str, BundleModels]]:
    local = {"torch": torch_backend.open_bundle(subject.folder, threads=1)}
    if not with_torchserve:
        yield local
        return
    with TorchServe.launch([subject.folder]) as server:
        remote = torchserve.open_bundle(subject.folder, address=server.grpc_address)
        try:
            yield {**local, "torchserve": remote}
        finally:
            remote.close()


def _explain(subject: Subject, models: BundleModels, index: int) -> Explanation:
    image = subject.images[index]
    (prediction,) = predict(models.classifier, image[None])
    ranking, morphing = models.ranking(subject.ranking_name), models.morphing(subject.morphing_name)
    assert ranking is not None and morphing is not None and subject.reference.anomaly is not None
    return Explanation(
        model=subject.manifest.name,
        model_version=subject.manifest.version,
        prediction=prediction,
        latent_ranking=latent_ranking.explain(
            ranking,
            subject.ranking_reference(),
            subject.plain_factors(),
            image,
            LatentRankingParameters(),
            prediction=prediction,
        ),
        anomaly=anomaly_score.explain(
            morphing.autoencoder, subject.reference.anomaly, image[None], AnomalyScoreParameters()
        ),
        path_mask=path_mask.explain(
            morphing,
            subject.morph_reference(),
            subject.reference.anomaly,
            image,
            PathMaskParameters(),
            prediction=prediction,
        ),
    )


def _compare(ours: list[Explanation], theirs: list[Explanation]) -> dict[str, float]:
    pairs = list(zip(ours, theirs, strict=True))
    overlaps = [_iou(a, b) for a, b in pairs]
    return {
        "same_class": float(np.mean([a.prediction.class_index == b.prediction.class_index for a, b in pairs])),
        "same_top_5": float(np.mean([_top(a) == _top(b) for a, b in pairs])),
        "p_value_difference": max(_p_value_difference(a, b) for a, b in pairs),
        "mask_iou": min(overlaps),
        "mask_iou_median": float(np.median(overlaps)),
        "mask_iou_5th_percentile": float(np.quantile(overlaps, 0.05)),
        "masks_below_0_99": sum(overlap < 0.99 for overlap in overlaps),
        "objective_difference": max(abs(_objective(a) - _objective(b)) for a, b in pairs),
    }


def _top(explanation: Explanation) -> list[tuple[int, ...]]:
    assert explanation.latent_ranking is not None
    return [latent.factor.dimensions for latent in explanation.latent_ranking.latents[:5]]


def _p_value_difference(a: Explanation, b: Explanation) -> float:
    assert a.anomaly is not None and b.anomaly is not None
    return float(np.abs(a.anomaly.p_values - b.anomaly.p_values).max())


def _objective(explanation: Explanation) -> float:
    assert explanation.path_mask is not None
    return explanation.path_mask.objective


def _iou(a: Explanation, b: Explanation) -> float:
    """Of the two masks cut at one half; 1 for two empty ones."""
    assert a.path_mask is not None and b.path_mask is not None
    one, other = a.path_mask.mask > 0.5, b.path_mask.mask > 0.5
    union = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / union) if union else 1.0


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    count = min(extent.backend_images, len(subject.images))
    figures = evaluate_backends(subject, count, with_torchserve=extent.torchserve)
    backends: Any = figures["against_onnx"]
    page.text(
        f"All three explanations of {count} images by each backend, against the same answers by onnxruntime. Each "
        "bundle's graphs passed the parity gate (1e-4) before; here whole explanations are compared."
    )
    page.table(
        ("backend", "same class", "same five first latents", "largest p-value difference", "mask IoU, least",
         "5th percentile", "median"),
        [
            (name, b["same_class"], b["same_top_5"], b["p_value_difference"], b["mask_iou"],
             b["mask_iou_5th_percentile"], b["mask_iou_median"])
            for name, b in backends.items()
        ],
    )  # fmt: skip
    return figures


def _excuse(subject: Subject) -> str | None:
    """All three explanations are compared, so all must be there."""
    roles: tuple[Role, ...] = ("ranking", "morphing")
    missing = next((role for role in roles if subject.manifest.space_with_role(role) is None), None)
    if missing is None and len(subject.manifest.backends) == 1:
        return f"The bundle is for the {subject.manifest.backends[0]} backend alone."
    return f"The bundle has no {missing} space, so not all three explanations." if missing else None


SECTION = Section("backends", "Do the backends agree?", _run, _excuse, morphs=True)
