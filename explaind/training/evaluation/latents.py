"""The latents: which carry something, what each does to an image, and how long the codes of each class are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.explanations import traversal
from explaind.explanations.models import Autoencoder
from explaind.explanations.types import DoubleArray, FloatArray, IntArray, RankingReference
from explaind.training.evaluation import latents_figures
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.rebuilding import chunks
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject

MOST_ROWS = 32
"""Latents in a grid; more are in nobody's head."""


@dataclass(frozen=True, slots=True)
class CodeNorms:
    """Of images' codes: norms of the means μ and of one sampled code z each (B,), and the images' classes (B,)."""

    mean: DoubleArray
    sampled: DoubleArray
    classes: IntArray


def code_norms(autoencoder: Autoencoder, images: FloatArray, classes: IntArray, seed: int) -> CodeNorms:
    """images (B, C, H, W), classes (B,); the samples are drawn from N(μ, σ) with this seed."""
    rng = np.random.default_rng(seed)
    means, samples = [], []
    for chunk in chunks(images):
        mean, deviation = autoencoder.encode(chunk)
        samples.append(mean + deviation * rng.standard_normal(mean.shape))
        means.append(mean)
    lengths = [np.linalg.norm(np.concatenate(part).astype(np.float64), axis=1) for part in (means, samples)]
    return CodeNorms(mean=lengths[0], sampled=lengths[1], classes=classes)


def shown_latents(reference: RankingReference) -> list[int]:
    """The used latents by falling KL, at most MOST_ROWS."""
    used = np.flatnonzero(reference.used)
    return [int(d) for d in used[np.argsort(-reference.mean_kl[used], kind="stable")][:MOST_ROWS]]


def traversals(autoencoder: Autoencoder, dimensions: list[int], latents: int) -> FloatArray:
    """dec(z) with each latent over 10 values in [−3, 3], the others at 0: (n, 10, C, H, W)."""
    codes = traversal.codes(np.zeros(latents, np.float32), dimensions)
    images = autoencoder.decode(codes.reshape(-1, latents))
    return images.reshape(codes.shape[:2] + images.shape[1:])


def labels_used(subject: Subject, space: str) -> str:
    """A sentence on the factors that supervised the space; empty where it saw images alone."""
    count = subject.recipe.spaces[space].supervised_images
    if count is None:
        return ""
    tied = ", ".join(f"z{latent} to {name}" for latent, name in enumerate(subject.recipe.data.kind.factors))
    return (
        f"The space *{space}* was **trained with labels**: the known factors of {count} of its "
        f"{len(subject.splits.train)} training images tie {tied} (Locatello et al. 2020). Its other latents are free."
    )


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    spaces = subject.reference.rankings
    figures: dict[str, object] = {name: _space_figures(subject, name, r) for name, r in spaces.items()}
    page.text(
        "A latent is *used* where its mean KL to the prior is at least "
        f"{subject.recipe.reference.minimum_kl:g} nat and moving it changes some pixel visibly (largest mean |Δpixel| "
        f"over a traversal at least {subject.recipe.reference.minimum_visible_effect:g}). Only used latents are ranked."
    )
    page.figure(
        "latents_kl",
        latents_figures.information({name: (r, subject.latent_names(name)) for name, r in spaces.items()}),
        "Each latent's mean KL to the prior over the training images, falling. Green: used. Grey: not.",
    )
    for name, reference in spaces.items():
        _write_traversals(subject, name, reference, page)
    if subject.manifest.space_with_role("morphing") is not None:
        figures["norms"] = _write_norms(subject, page)
    return figures


def _space_figures(subject: Subject, name: str, reference: RankingReference) -> dict[str, object]:
    names = subject.latent_names(name)
    return {
        "latents": len(reference.used),
        "used": {
            names[d]: {"dimension": d, "kl": reference.mean_kl[d], "visible_effect": reference.visible_effect[d]}
            for d in shown_latents(reference)
        },
        "kl": float(reference.mean_kl.sum()),
    }


def _write_traversals(subject: Subject, name: str, reference: RankingReference, page: Page) -> None:
    shown = shown_latents(reference)
    if not shown:
        page.text(f"The space *{name}* uses no latent.")
        return
    if labels := labels_used(subject, name):
        page.text(labels)
    names = subject.latent_names(name)
    images = traversals(subject.models.autoencoders[name], shown, len(reference.used))
    titles = [names[d] if names[d].endswith((f"z{d}", f"(z{d})")) else f"{names[d]} (z{d})" for d in shown]
    more = int(reference.used.sum()) - len(shown)
    page.figure(
        f"latents_{name}",
        latents_figures.traversal_grid(images, titles, traversal.VALUES),
        f"The space {name}: each used latent over [−3, 3], all others at 0, by falling KL"
        + (f"; {more} more are used." if more else "."),
    )


def _write_norms(subject: Subject, page: Page) -> dict[str, object]:
    names = subject.manifest.class_names
    norms = code_norms(subject.autoencoder, subject.images, subject.predicted.astype(np.int32), subject.recipe.seed)
    targets, latents = (
        subject.morph_reference().class_norms,
        len(subject.reference.rankings[subject.morphing_name].used),
    )
    page.text(
        "The norm of a code tells how likely the prior finds it, and [PM]'s penalty pulls a morph towards the mean "
        "norm of its target class. Codes are sampled from N(μ(x), σ(x)), as the morph's start is, for "
        f"{len(norms.classes)} images; classes as the classifier reads them. A code drawn from the prior itself has "
        f"norm √{latents} ≈ {latents**0.5:.2f}; latents that are not used add their noise and tell no classes apart."
    )
    page.figure(
        "latents_norms",
        latents_figures.norms_by_class(norms.mean, norms.sampled, norms.classes, names, targets),
        f"Norms of codes by class in the space {subject.morphing_name}. The line is the class's mean norm over sampled "
        "codes of the training images, kept in the bundle.",
    )
    return {"space": subject.morphing_name, "classes": _by_class(norms, names, targets)}


def _by_class(norms: CodeNorms, names: tuple[str, ...], targets: DoubleArray) -> dict[str, object]:
    chosen = {name: norms.classes == index for index, name in enumerate(names)}
    return {
        name: {
            "images": int(rows.sum()),
            "sampled_mean": float(norms.sampled[rows].mean()),
            "sampled_deviation": float(norms.sampled[rows].std()),
            "mean_code_mean": float(norms.mean[rows].mean()),
            "bundle": float(targets[index]),
        }
        for index, (name, rows) in enumerate(chosen.items())
        if rows.any()
    }


SECTION = Section("latents", "The latents", _run)
