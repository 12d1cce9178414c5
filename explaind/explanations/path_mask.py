"""Which pixels make the classifier say this class rather than the other [PM], DESIGN §3.4.

A path of natural images joins the image's counterpart in the other class to its own reconstruction; the mask
keeps the pixels along which the probability changes.
"""

from __future__ import annotations

import math

import numpy as np

from explaind.explanations import mask_on_path, path_mask_parameters, sparse_path, two_class
from explaind.explanations.anomaly_score import rebuilt_p_values
from explaind.explanations.budget import Budget
from explaind.explanations.mask_on_path import MaskOnPath
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.types import (
    AnomalyReference,
    FloatArray,
    Morph,
    MorphReference,
    PathMask,
    PathMaskOutcome,
    PathMaskParameters,
    Prediction,
    Solver,
)


def explain(
    models: MorphingModels,
    reference: MorphReference,
    anomaly: AnomalyReference | None,
    image: FloatArray,
    parameters: PathMaskParameters,
    *,
    prediction: Prediction,
    budget: Budget | None = None,
) -> PathMask:
    """image: float32 (C, H, W) in [0, 1], `prediction` its own → mask, signed attribution and certificates.

    `other_p_value` is nan where `anomaly` is None. Near the budget's deadline the outcome is BEST_SO_FAR.
    Raises ParameterOutOfRange naming the field, Cancelled.
    """
    budget = budget or Budget()
    ends = morph(models, reference, image, parameters, prediction=prediction, budget=budget)
    path = MorphPath(models, ends, parameters.interpolation, budget)
    if not (ends.found or ends.best_so_far or ends.flat):
        return _without_morph(path, ends)
    points = _points(path, ends, parameters)
    sparsity = path_mask_parameters.sparsity(parameters, reference)
    solved = mask_on_path.solve(models, path, points, ends.self_class, parameters.solver, sparsity, budget)
    return _assemble(ends, points, solved, _other_p_value(models, anomaly, ends, points, budget), parameters)


def _points(path: MorphPath, ends: Morph, parameters: PathMaskParameters) -> PathPoints:
    if parameters.solver is not Solver.FAST:
        return path.points(np.linspace(0.0, 1.0, parameters.step_count))
    pair = ends.self_class, ends.other_class
    return sparse_path.points(path, parameters.step_count, pair, every_image=parameters.include_path)


def _without_morph(path: MorphPath, ends: Morph) -> PathMask:
    """Empty, with the two images there are, so that a person sees what was tried."""
    images = path.points(np.array([0.0, 1.0])).images
    own, found = _own_and_found(ends, images)
    empty = np.zeros(images.shape[-2:], np.float32)
    return PathMask(
        self_class=ends.self_class,
        other_class=ends.other_class,
        mask=empty,
        attribution=empty,
        other_image=found,
        reconstruction=own,
        path=None,
        gains=np.zeros(0),
        entropies=np.zeros(0),
        objective=0.0,
        stationarity_gap=0.0,
        probability_change=0.0,
        completeness_gap=0.0,
        entropy_mean_step=0.0,
        entropy_half_width=0.0,
        outcome=PathMaskOutcome.NO_MORPH_FOUND,
        reconstruction_agrees=ends.reconstruction_agrees,
        morph_steps=ends.steps,
        latent_distance=ends.latent_distance,
        other_p_value=math.nan,
        reason=ends.reason,
    )


def _assemble(
    ends: Morph, points: PathPoints, solved: MaskOnPath, other_p_value: float, parameters: PathMaskParameters
) -> PathMask:
    own, found = _own_and_found(ends, points.images)
    probabilities = points.probabilities(ends.self_class)
    entropies = points.entropies(ends.self_class, ends.other_class)
    mean_step, half_width = two_class.window(entropies)
    outcome, reason = _outcome(ends, solved)
    return PathMask(
        self_class=ends.self_class,
        other_class=ends.other_class,
        mask=solved.applied.astype(np.float32),
        attribution=solved.signed.astype(np.float32),
        other_image=found,
        reconstruction=own,
        path=points.images if parameters.include_path else None,
        gains=probabilities[1:] - probabilities[:-1],
        entropies=entropies,
        objective=solved.objective,
        stationarity_gap=solved.stationarity_gap,
        probability_change=solved.change,
        completeness_gap=solved.completeness_gap,
        entropy_mean_step=mean_step,
        entropy_half_width=half_width,
        outcome=outcome,
        reconstruction_agrees=ends.reconstruction_agrees,
        morph_steps=ends.steps,
        latent_distance=ends.latent_distance,
        other_p_value=other_p_value,
        reason=reason,
    )


def _outcome(ends: Morph, solved: MaskOnPath) -> tuple[PathMaskOutcome, str]:
    """A walk cut short matters more than what became of its path."""
    if ends.best_so_far:
        return PathMaskOutcome.BEST_SO_FAR, ends.reason
    if not solved.solved:
        return PathMaskOutcome.NO_CHANGE, solved.reason
    return (PathMaskOutcome.BEST_SO_FAR if solved.reason else PathMaskOutcome.CONVERGED), solved.reason


def _own_and_found(ends: Morph, images: FloatArray) -> tuple[FloatArray, FloatArray]:
    """images in path order → (the image's own end, the end that the walk found)."""
    return (images[-1], images[0]) if ends.image_is_self else (images[0], images[-1])


def _other_p_value(
    models: MorphingModels, anomaly: AnomalyReference | None, ends: Morph, points: PathPoints, budget: Budget
) -> float:
    if anomaly is None:
        return math.nan
    _, found = _own_and_found(ends, points.images)
    return float(rebuilt_p_values(models.autoencoder, anomaly, found[None], scorer=models.scorer, budget=budget)[0])
