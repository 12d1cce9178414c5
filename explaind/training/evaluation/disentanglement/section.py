"""The report's section on disentanglement, for bundles whose factors are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from explaind.errors import DataSetInvalid
from explaind.explanations import traversal
from explaind.explanations.models import Autoencoder
from explaind.explanations.types import FloatArray
from explaind.training.evaluation.disentanglement.disentanglement_figures import information_and_traversals
from explaind.training.evaluation.disentanglement.information import Factors, entropies
from explaind.training.evaluation.disentanglement.known_factors import KNOWN, evaluation_factors, factor_names
from explaind.training.evaluation.disentanglement.scores import LEAST_IMAGES, Scores, scores
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.rebuilding import chunks
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject

_MOST_ROWS = 16


def posteriors(autoencoder: Autoencoder, images: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means and deviations (N, D) of images (N, C, H, W)."""
    parts = [autoencoder.encode(chunk) for chunk in chunks(images)]
    return np.concatenate([mean for mean, _ in parts]), np.concatenate([deviation for _, deviation in parts])


def _excuse(subject: Subject) -> str | None:
    data_set = subject.recipe.data.set
    if subject.recipe.data.kind.factors:
        return (
            f"The factors of {data_set}'s images are known, but continuous, and these scores count classes. What each "
            "latent tells of them stands under «Is the explanation true?»."
        )
    if data_set not in KNOWN:
        return f"Nobody knows which factors the images of {data_set} were made from, so no score can be taken."
    if not subject.manifest.spaces:
        return "The bundle has no latent space."
    if len(subject.images) < LEAST_IMAGES:
        return f"Only {len(subject.images)} images are left for evaluation; such scores need {LEAST_IMAGES}."
    return None


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    names = factor_names(subject.recipe.data.set)
    factors = _matching_factors(subject)
    spaces = {name: _score(subject, name, factors) for name in subject.reference.rankings}
    page.text(
        f"On {len(factors)} unseen images whose {len(names)} factors are known ({', '.join(names)}). *MIG*: mutual "
        "information of the best latent with a factor less that of the second best, over the factor's entropy, mean "
        "over factors, codes drawn from the posterior (Chen et al. 2018); *of means*: of the posterior's means, as "
        "Locatello et al. 2019 measure it. *SAP*: the same of prediction from single latents (Kumar et al. 2018). "
        "*FactorVAE*: whether the latent that varies least among images sharing a factor's value names that factor "
        "(Kim & Mnih 2018). *DCI*: disentanglement, completeness and informativeness (accuracy; majority alone beside "
        "it) of forests that predict factors from codes (Eastwood & Williams 2018). All are 1 for a perfect code, save "
        "that dSprites' orientation cannot be read from squares and ellipses that look alike turned."
    )
    page.table(
        ("space", "MIG", "MIG of means", "SAP", "FactorVAE", "D", "C", "I", "majority"),
        [(name, *_row(found)) for name, found in spaces.items()],
    )
    page.table(("MIG by factor", *names), [(name, *(found.factor_gaps)) for name, found in spaces.items()])
    for name, found in spaces.items():
        _draw(subject, name, found, factors, page)
    return {"images": len(factors), "factors": list(names), "spaces": {n: asdict(f) for n, f in spaces.items()}}


def _matching_factors(subject: Subject) -> Factors:
    factors = evaluation_factors(subject.recipe.data, subject.data)
    if not np.array_equal(factors[:, 0], subject.splits.evaluation.labels):
        raise DataSetInvalid("The factors read do not belong to the images; replace dsprites.npz and evaluate again.")
    return factors


def _score(subject: Subject, space: str, factors: Factors) -> Scores:
    means, deviations = posteriors(subject.models.autoencoders[space], subject.images)
    return scores(means.astype(np.float64), deviations.astype(np.float64), factors, subject.recipe.seed)


def _row(found: Scores) -> tuple[float, ...]:
    d = found.dci
    return (found.mig, found.mig_of_means, found.sap, found.factor_vae, d.disentanglement, d.completeness,
            d.informativeness, d.majority)  # fmt: skip


def _draw(subject: Subject, space: str, found: Scores, factors: Factors, page: Page) -> None:
    """Used latents by falling KL."""
    reference = subject.reference.rankings[space]
    used = np.flatnonzero(reference.used)
    shown = used[np.argsort(-reference.mean_kl[used], kind="stable")][:_MOST_ROWS]
    if not len(shown):
        page.text(f"The space *{space}* uses no latent.")
        return
    center = subject.models.autoencoders[space].encode(subject.images[:1])[0][0]
    codes = traversal.codes(center, [int(d) for d in shown])
    images = subject.models.autoencoders[space].decode(codes.reshape(-1, codes.shape[-1]))
    labels = subject.latent_names(space)
    titles = [f"z{d}" if labels[d] == f"z{d}" else f"z{d}\n{labels[d]}" for d in shown]
    page.figure(
        f"disentanglement_{space}",
        information_and_traversals(
            found.information[shown], entropies(factors), factor_names(subject.recipe.data.set), titles,
            images.reshape(codes.shape[:2] + images.shape[1:]), traversal.VALUES,
        ),
        f"The space {space}: what each used latent knows of each factor, in nats of codes drawn from the posterior "
        "(the fuller the cell, the larger the share of the factor's entropy H; framed: the latent that knows most), "
        "and the latent moved over [−3, 3], all others as in the first evaluation image.",
    )  # fmt: skip


SECTION = Section("disentanglement", "Disentanglement", _run, _excuse)
