"""The quality report's verdicts: each explanation's figures beside the thresholds from which it can be relied on."""

from __future__ import annotations

import math

import numpy as np

from explaind.training.foreign.quality import Quality, certified
from explaind.training.foreign.verdicts import Assessment, Figure

NATURAL = 0.01
"""A morph whose p-value is at least this looks like a reconstruction of a real image."""
_MORE = "More epochs (--epochs), more images, or another size (--size) may help."
_NO_GRADIENTS = "the classifier has no gradients here; give `explaind new` a .pt2 program to have path masks."


def assess(quality: Quality, morphing: str, ranking: str, class_count: int) -> tuple[Assessment, ...]:
    """morphing, ranking: names of the latent spaces."""
    return (
        _prediction(quality, class_count),
        _latent_ranking(quality, ranking),
        _anomaly_score(quality),
        _path_mask(quality, morphing),
    )


def _prediction(quality: Quality, classes: int) -> Assessment:
    chance = 1 / classes
    figure = Figure(
        name="accuracy on the images given",
        value=quality.accuracy,
        good=chance + 0.5 * (1 - chance),
        doubtful=chance + 0.1 * (1 - chance),
        least=True,
        count=len(quality.images),
        advice="Are the classes in the order of the outputs (--classes), and --mean and --deviation the classifier's?",
    )
    return Assessment(explanation="prediction", figures=(figure,))


def _latent_ranking(quality: Quality, space: str) -> Assessment:
    return Assessment(
        explanation="latent_ranking",
        figures=(
            _agreement(quality, space, 0.9, 0.75),
            Figure(
                name="latents in use",
                value=float(quality.used_latents),
                good=3,
                doubtful=2,
                least=True,
                count=len(quality.images),
                advice="Lower beta of [spaces.ranking] in the recipe, or train longer: too few factors to rank.",
            ),
        ),
    )


def _agreement(quality: Quality, space: str, good: float, doubtful: float) -> Figure:
    return Figure(
        name="same class after reconstruction",
        value=quality.rebuilt[space].agreement(quality.classes),
        good=good,
        doubtful=doubtful,
        least=True,
        count=len(quality.images),
        advice=f"The VAE loses what the classifier looks at, so it explains other images than yours. {_MORE}",
    )


def _anomaly_score(quality: Quality) -> Assessment:
    count, level = len(quality.images), quality.level
    chance = 2 * math.sqrt(level * (1 - level) * (1 / count + 1 / quality.calibration))
    return Assessment(
        explanation="anomaly_score",
        figures=(
            Figure(
                name=f"false alarms at level {level:.2g}",
                value=quality.false_alarms,
                good=level + chance,
                doubtful=level + 2 * chance,
                least=False,
                count=count,
                advice="The evaluation images are not like those it was calibrated on: are train and test alike?",
            ),
            Figure(
                name="median AUROC of altered images",
                value=float(np.median([quality.auroc(kind) for kind in quality.altered])),
                good=0.9,
                doubtful=0.75,
                least=True,
                count=count,
                advice=f"Strange images look usual to this VAE. {_MORE}",
            ),
            Figure(
                name="calibration images",
                value=float(quality.calibration),
                good=99,
                doubtful=19,
                least=True,
                count=quality.calibration,
                advice="With fewer than 99 no p-value can be 0.01: bring more images.",
            ),
        ),
    )


def _path_mask(quality: Quality, space: str) -> Assessment:
    if not quality.masks:
        return Assessment(explanation="path_mask", figures=(), absent=_NO_GRADIENTS)
    found = [mask for mask in quality.masks if not math.isnan(mask.other_p_value)]
    count = len(quality.masks)
    natural = float(np.mean([mask.other_p_value >= NATURAL for mask in found])) if found else 0.0
    return Assessment(
        explanation="path_mask",
        figures=(
            _agreement(quality, space, 0.95, 0.8),
            Figure(
                name="morphs that failed",
                value=1 - len(found) / count,
                good=0.05,
                doubtful=0.2,
                least=False,
                count=count,
                advice=f"No way to the other class is found in the latent space. {_MORE}",
            ),
            Figure(
                name="morphs that look natural",
                value=natural,
                good=0.9,
                doubtful=0.7,
                least=True,
                count=len(found),
                advice=f"Counterparts are adversarial rather than counterfactual. {_MORE}",
            ),
            Figure(
                name="masks with a certificate",
                value=float(np.mean([certified(mask) for mask in quality.masks])),
                good=0.9,
                doubtful=0.7,
                least=True,
                count=count,
                advice="The solver did not finish, or had no path to work on.",
            ),
        ),
    )
