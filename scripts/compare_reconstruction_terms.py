"""The four reconstruction terms on faces ([AN]): one VAE each, then the anomaly task against non-faces.

    python scripts/compare_reconstruction_terms.py

Writes docs/results/reconstruction_terms. About five minutes of one processor.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from explaind.backends.torch_networks import build, build_encoder
from explaind.explanations import anomaly_score, traversal
from explaind.explanations.anomaly_features import supervised_features, supervised_names
from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import AnomalyReference, AnomalyScoreParameters, FloatArray
from explaind.training.adapters import TrainedAutoencoder
from explaind.training.anomaly_reference import fit_anomaly
from explaind.training.datasets import Splits, as_floats, load_images, load_splits
from explaind.training.evaluation.anomaly.fitting_in import cropped, window_of
from explaind.training.evaluation.anomaly.protocol import LATENTS, LOSSES, Features, repeat
from explaind.training.evaluation.anomaly.scored import single_losses
from explaind.training.evaluation.anomaly.separation import auroc, labelled
from explaind.training.evaluation.page import Page
from explaind.training.fit import deterministic, fit
from explaind.training.objectives import Vae, space_objective
from explaind.training.progress import reporting
from explaind.training.recipe import Recipe, SpaceRecipe, load_recipe
from explaind.training.reference import known_outliers
from explaind.training.trained import fold_autoencoder

WEIGHTS = {"gaussian": 0.02, "bernoulli": 0.05, "cosine": 0.1, "ssim": 0.06}
"""Of the divergence. A cross entropy changes about 2.5 times as fast as a squared error, our cosine term five times,
at these images' contrast; that of SSIM is a guess."""
ALONE = ("mse", "mae", "cosine_distance", "one_minus_ssim", "cross_entropy_excess")
FACES, SPLITS = 1000, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--terms", nargs="*", choices=sorted(WEIGHTS), default=list(WEIGHTS))
    arguments = parser.parse_args()
    recipe = load_recipe(Path("model_store/faces"))
    splits = load_splits(recipe.data, arguments.data)
    folder = Path("docs/results/reconstruction_terms")
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"epochs": arguments.epochs, "terms": {}}
    for term in arguments.terms:
        space = _space(recipe, term, arguments.epochs)
        autoencoder = _trained(recipe, space, splits)
        results["terms"][term] = {"beta": WEIGHTS[term], **_measured(recipe, autoencoder, splits, arguments.data)}
        (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        _write_page(folder, results)


def _space(recipe: Recipe, term: str, epochs: int) -> SpaceRecipe:
    """The bundle's own space but for the term, its weight and a shorter schedule."""
    served = next(iter(recipe.spaces.values()))
    changes = {"reconstruction": term, "beta": WEIGHTS[term], "epochs": epochs, "objective": "beta"}
    return SpaceRecipe.model_validate({**served.model_dump(), **changes})


def _trained(recipe: Recipe, space: SpaceRecipe, splits: Splits) -> TrainedAutoencoder:
    table = space.table(recipe.data.kind)
    with deterministic(recipe.seed, 1), reporting(sys.stderr) as reporter:
        network = Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))
        reporter.start(space.reconstruction, space.epochs * (len(splits.train) // space.batch_size))
        objective = space_objective(space, len(splits.train))
        fit(network, objective, splits.train, splits.validation, space, reporter)
    return TrainedAutoencoder(fold_autoencoder(network, table)[0])


def _measured(recipe: Recipe, autoencoder: TrainedAutoencoder, splits: Splits, data: Path) -> dict[str, Any]:
    """On the images that nothing was fitted on."""
    inside = as_floats(splits.evaluation.images)
    outside = as_floats(load_images("nonfaces", data)[1].images)
    reference = fit_anomaly(
        autoencoder,
        as_floats(splits.validation.images),
        as_floats(splits.calibration.images),
        known_outliers(recipe, data),
    )
    mean, deviation = autoencoder.encode(inside)
    kl = traversal.mean_kl(mean, deviation)
    rebuilt = autoencoder.decode(mean)
    window = window_of(inside)
    return {
        "inside_images": len(inside),
        "outside_images": len(outside),
        "active_latents": int(np.sum(kl >= recipe.reference.minimum_kl)),
        "kl": float(kl.sum()),
        "mse_in_the_window": float(np.square(cropped(window, inside) - cropped(window, rebuilt)).mean()),
        "mse": float(np.square(inside - rebuilt).mean()),
        **_by_regression(recipe, autoencoder, splits, data),
        **_separated(autoencoder, reference, inside, outside),
    }


def _separated(
    autoencoder: TrainedAutoencoder, reference: AnomalyReference, inside: FloatArray, outside: FloatArray
) -> dict[str, Any]:
    """By each loss alone and by the Mahalanobis distance."""
    scores = []
    for images in (inside, outside):
        batch = anomaly_score.explain(autoencoder, reference, images, AnomalyScoreParameters())
        by_loss = single_losses(batch.losses)
        scores.append({**{name: by_loss[name] for name in ALONE}, "mahalanobis": batch.scores})
    own, strange = scores
    return {
        "auroc": {name: auroc(own[name], strange[name]) for name in own},
        "average_precision_alone": {
            name: float(average_precision_score(*labelled(own[name], strange[name]))) for name in own
        },
    }


def _by_regression(recipe: Recipe, autoencoder: TrainedAutoencoder, splits: Splits, data: Path) -> dict[str, float]:
    """The source's task: 1,000 faces that no network was fitted on against 1,000 non-faces, divided 70/30 at random."""
    parts = (splits.evaluation, splits.calibration, splits.validation)
    faces = as_floats(np.concatenate([part.images for part in parts])[:FACES])
    others = as_floats(load_images("nonfaces", data)[1].images[:FACES])
    own, strange = (_features(autoencoder, images) for images in (faces, others))
    runs = repeat(own, strange, None, splits=SPLITS, seed=recipe.seed)
    return {
        "average_precision": float(runs[LOSSES].average_precision.mean()),
        "average_precision_deviation": float(runs[LOSSES].average_precision.std()),
        "average_precision_with_latents": float(runs[LATENTS].average_precision.mean()),
    }


def _features(autoencoder: TrainedAutoencoder, images: FloatArray) -> Features:
    mean, _ = autoencoder.encode(images)
    columns = supervised_features(losses(images, autoencoder.decode(mean)), mean, images.shape[1])
    return {LOSSES: columns[:, : len(supervised_names(images.shape[1], 0))], LATENTS: columns}


def _write_page(folder: Path, results: Mapping[str, Any]) -> None:
    terms: Mapping[str, Any] = results["terms"]
    first = next(iter(terms.values()))
    page = Page(folder, "Reconstruction terms on faces")
    page.text(
        "[AN] trains with squared error, cosine distance or SSIM, and finds SSIM better than cosine distance for "
        f"telling anomalies. Here the faces bundle's VAE is trained with each term, {results['epochs']} epochs, all "
        "else alike (one run each, so small differences mean nothing), and scores "
        f"{first['inside_images']} held-out faces against {first['outside_images']} held-out non-faces. β is the "
        "weight of the divergence, chosen beforehand so that it should cost about alike; the column KL says how far it "
        "did, and a term whose codes hold more had it easier. Our SSIM is of the valid region, so that "
        "nothing holds the outermost pixels: trained with it, the black border is rebuilt badly, whatever the face."
    )
    header = ("term", "β", "active latents", "KL, nats", "MSE", "MSE of the face", "AP, losses", "AP, and latents")
    keys = ("beta", "active_latents", "kl", "mse", "mse_in_the_window", "average_precision",
            "average_precision_with_latents")  # fmt: skip
    page.table(header, [(term, *(each[key] for key in keys)) for term, each in terms.items()])
    page.text(
        "AP: average precision, non-faces positive, of a logistic regression on the losses, and on losses and latents: "
        f"{FACES} faces against {FACES} non-faces, mean of {SPLITS} random divisions, as the source's task."
    )
    for key, title in (("average_precision_alone", "Average precision (non-faces positive)"), ("auroc", "AUROC")):
        page.text(f"{title} of each loss alone and of the Mahalanobis detector, by the term that was trained with:")
        names = list(first[key])
        page.table(
            ("trained with", *(name.replace("_", " ") for name in names)),
            [(term, *(float(r[key][name]) for name in names)) for term, r in terms.items()],
        )
    page.text("Written by `python scripts/compare_reconstruction_terms.py`; the figures are in `results.json`.")
    page.save()


if __name__ == "__main__":
    main()
