"""Do the marked pixels cover what alone decides? Overlap with the pixels that are known by construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.explanations.path_mask_parameters import sparsity
from explaind.explanations.prediction import predict
from explaind.explanations.types import BoolArray, DoubleArray, FloatArray, PathMaskOutcome, PathMaskParameters
from explaind.training.datasets import as_floats
from explaind.training.datasets.planted import Scenes, changed_pixels, known_pixels, render
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth.map_measures import auroc, iou, strongest
from explaind.training.evaluation.truth.pixel_maps import PATH_MASK, PixelMaps, classes_of, path_masks, pixel_maps
from explaind.training.evaluation.truth.white_box import WhiteBox

BAR = 0.5
SPARSITIES = (1.0, 2.0, 4.0, 8.0, 16.0)
FEW = 30
BRIGHTNESS = "the image itself"
"""A trivial control: how bright each pixel is, whatever the classifier says."""


@dataclass(frozen=True, slots=True, eq=False)
class MapTruth:
    """Of one method, a figure an image, (N,). overlap: IoU of its pixels with the known ones, as many as are known.
    changed: the same with those of the known pixels that differ between image and counterpart. auroc: of its
    magnitudes against the known pixels."""

    overlap: DoubleArray
    changed: DoubleArray
    auroc: DoubleArray


@dataclass(frozen=True, slots=True, eq=False)
class MaskTruth:
    """images (N, C, H, W); known, changed (N, H, W); maps. overlap: IoU of the path mask, cut at one half as it is
    served, with the known pixels (N,), which is judged; overlap_changed: with the changed ones. methods: every map,
    and BRIGHTNESS, cut to as many pixels as are known. covered (N,): share of the known pixels in the served mask.
    sparsity: what a pixel of it costs. by_sparsity: its median IoU on the first scenes at other costs.
    explained: share of images with a mask."""

    images: FloatArray
    known: BoolArray
    changed: BoolArray
    maps: PixelMaps
    overlap: DoubleArray
    overlap_changed: DoubleArray
    methods: Mapping[str, MapTruth]
    covered: DoubleArray
    sparsity: float
    by_sparsity: Mapping[float, float]
    explained: float


def mask_truth(subject: Subject, box: WhiteBox, question: str, scenes: Scenes) -> MaskTruth:
    images = as_floats(render(scenes))
    maps = pixel_maps(box, subject.morph_reference(), images, predict(box.morphing.classifier, images))
    known, changed = known_pixels(scenes, question), changed_pixels(scenes, question)
    covered = np.logical_and(maps.binary(), known).sum(axis=(1, 2)) / known.sum(axis=(1, 2))
    return MaskTruth(
        images=images,
        known=known,
        changed=changed,
        maps=maps,
        overlap=iou(maps.binary(), known),
        overlap_changed=iou(maps.binary(), changed),
        methods={
            **{name: map_truth(maps.magnitudes(name), known, changed) for name in maps.maps},
            BRIGHTNESS: map_truth(images.sum(axis=1, dtype=np.float64), known, changed),
        },
        covered=covered,
        sparsity=sparsity(PathMaskParameters(), subject.morph_reference()),
        by_sparsity={one: overlap_at(subject, box, images[:FEW], known[:FEW], one) for one in SPARSITIES},
        explained=float(np.mean([m.outcome is not PathMaskOutcome.NO_MORPH_FOUND for m in maps.masks])),
    )


def overlap_at(subject: Subject, box: WhiteBox, images: FloatArray, known: BoolArray, cost: float) -> float:
    """Median IoU of the masks that are served at this sparsity with the known pixels (N, H, W)."""
    predictions = predict(box.morphing.classifier, images)
    pairs = [classes_of(prediction) for prediction in predictions]
    masks = path_masks(box, subject.morph_reference(), images, predictions, pairs, sparsity=cost)
    return float(np.median(iou(np.stack([mask.mask for mask in masks]) > 0.5, known)))


def map_truth(magnitudes: DoubleArray, known: BoolArray, changed: BoolArray) -> MapTruth:
    """magnitudes, known, changed: (N, H, W)."""
    return MapTruth(
        overlap=iou(strongest(magnitudes, known.sum(axis=(1, 2))), known),
        changed=iou(strongest(magnitudes, changed.sum(axis=(1, 2))), changed),
        auroc=auroc(magnitudes, known),
    )


def figures(truth: MaskTruth) -> dict[str, object]:
    """JSON: medians and shares of images above the bar."""
    served = {
        "iou_median": float(np.median(truth.overlap)),
        "iou_share_above_bar": float(np.mean(truth.overlap >= BAR)),
        "iou_changed_median": float(np.median(truth.overlap_changed)),
        "area_median": float(np.median(truth.maps.binary().mean(axis=(1, 2)))),
        "known_area_median": float(np.median(truth.known.mean(axis=(1, 2)))),
        "covered_median": float(np.median(truth.covered)),
        "sparsity": truth.sparsity,
        "iou_by_sparsity": {f"{one:g}": value for one, value in truth.by_sparsity.items()},
        "explained": truth.explained,
    }
    same_area = {
        name: {
            "iou_median": float(np.median(method.overlap)),
            "iou_changed_median": float(np.median(method.changed)),
            "auroc_median": float(np.nanmedian(method.auroc)),
        }
        for name, method in truth.methods.items()
    }
    return {"images": len(truth.images), PATH_MASK.replace(" ", "_"): served, "same_area": same_area}
