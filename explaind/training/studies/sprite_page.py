"""The page of the study on dSprites: scores with seeds and spread, beside what others published."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explaind.errors import ConfigurationError
from explaind.explanations import traversal
from explaind.training.datasets.sprites import FACTORS
from explaind.training.evaluation.disentanglement.disentanglement_figures import information_and_traversals
from explaind.training.evaluation.disentanglement.information import entropies
from explaind.training.evaluation.page import Page
from explaind.training.fit import tensors
from explaind.training.studies.sprite_figures import TITLES, score, scores_by_seed
from explaind.training.studies.sprite_fits import (
    OBJECTIVES,
    USED,
    ObjectiveName,
    Plan,
    StudyImages,
    load_networks,
    load_results,
)

RESULTS = "results.json"
SCORES = {
    "mig": "MIG", "mig_of_means": "MIG of means", "sap": "SAP", "factor_vae": "FactorVAE", "disentanglement": "D",
    "completeness": "C", "informativeness": "I", "reconstruction": "reconstruction, nats", "kl": "KL, nats",
    "used_latents": "used latents",
}  # fmt: skip
_KNOWN = 0.12
_PUBLISHED = (
    ("Chen et al. 2018 (β-TCVAE), their figure of MIG over β", "box plots, no numbers; β-TCVAE above β-VAE for most β"),
    ("Locatello et al. 2019, 300,000 steps of 64, 50 seeds", "violin plots, no numbers; both of the order of 0.1, "
     "a few runs several times that; seeds matter more than the objective"),
)  # fmt: skip


def write_page(plan: Plan, images: StudyImages, runs: Path, folder: Path) -> None:
    """Writes README.md, results.json and figures of what is finished. Raises ConfigurationError."""
    results = load_results(plan, runs)
    if not results:
        return
    page = Page(folder, "β-VAE against β-TCVAE on dSprites")
    summary = summarise(results)
    _say(page, plan, summary)
    for beta in plan.betas:
        _write_scores(page, results, summary, beta)
    _write_published(page, plan)
    for objective in OBJECTIVES:
        _show(page, plan, images, runs, results, objective)
    _write_networks(page, results)
    try:
        page.save()
        partial = folder / "results.partial"
        content = {"steps": plan.steps, "images": plan.images, "summary": summary, "networks": results}
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(folder / RESULTS)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written ({error.strerror}); name another.") from error


def summarise(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By β (`"6"`) and objective: mean, sample deviation (None of one network) and values of each of SCORES, and
    `seeds`; `pairs`: of how many seeds β-TCVAE's MIG is the higher, of how many with both."""
    found: dict[str, Any] = {}
    for beta in dict.fromkeys(result["beta"] for result in results):
        rows = [result for result in results if result["beta"] == beta]
        by_objective = {name: [r for r in rows if r["objective"] == name] for name in OBJECTIVES}
        found[f"{beta:g}"] = {
            **{name: _spread(chosen) for name, chosen in by_objective.items() if chosen},
            "pairs": _pairs(by_objective),
        }
    return found


def _spread(chosen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {"seeds": [result["seed"] for result in chosen]}
    for key in SCORES:
        values = [score(result, key) for result in chosen]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        table[key] = {"mean": statistics.fmean(values), "deviation": deviation, "values": values}
    return table


def _pairs(by_objective: Mapping[ObjectiveName, Sequence[Mapping[str, Any]]]) -> dict[str, int]:
    plain, weighted = ({r["seed"]: r["mig"] for r in by_objective[name]} for name in OBJECTIVES)
    both = plain.keys() & weighted.keys()
    return {"higher": sum(weighted[seed] > plain[seed] for seed in both), "of": len(both)}


def _say(page: Page, plan: Plan, summary: Mapping[str, Any]) -> None:
    page.text(
        f"The same network (`{plan.architecture}`, {plan.latents} latents), the same {plan.images:,} images of "
        f"dSprites, the same first weights and batches for each seed; only the objective differs: β-VAE weighs the "
        "whole KL with β, β-TCVAE the total correlation alone (minibatch-weighted sampling). Scores are of "
        f"{plan.seen:,} unseen images. **{plan.steps:,} steps of {plan.batch_size} images each: the literature trains "
        f"for 300,000, {300_000 / plan.steps:.0f} times as many**, on all 737,280 images. What is compared is the two "
        "objectives at this budget, not the best that either can do. β 6 is that of the example in Chen et al.'s code; "
        "beyond one short trial of each objective it was not tuned."
    )
    for beta, table in summary.items():
        if all(name in table for name in OBJECTIVES):
            page.text(_verdict(beta, table))


def _verdict(beta: str, table: Mapping[str, Any]) -> str:
    plain, weighted = (table[name]["mig"] for name in OBJECTIVES)
    word = "higher than" if weighted["mean"] > plain["mean"] else "**not** higher than"
    pairs = table["pairs"]
    return (
        f"**At β {beta} β-TCVAE's MIG, {_with_spread(weighted)}, is {word} β-VAE's, {_with_spread(plain)}** "
        f"(mean ± deviation over seeds; of the {pairs['of']} seeds with both networks it is higher for "
        f"{pairs['higher']})."
    )


def _with_spread(value: Mapping[str, Any], digits: int = 3) -> str:
    mean, deviation = value["mean"], value["deviation"]
    return f"{mean:.{digits}f}" if deviation is None else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def _write_scores(page: Page, results: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], beta: float) -> None:
    table = summary.get(f"{beta:g}")
    if table is None:
        page.text(f"β {beta:g} is not yet fitted.")
        return
    page.heading(f"β {beta:g}", level=2)
    present = [name for name in OBJECTIVES if name in table]
    rows = [
        (title, *(_with_spread(table[name][key], 1 if key in ("reconstruction", "kl", "used_latents") else 3)
                  for name in present))
        for key, title in SCORES.items()
    ]  # fmt: skip
    page.table(("", *(f"{TITLES[name]}, seeds {_listed(table[name]['seeds'])}" for name in present)), rows)
    page.figure(
        f"scores_beta_{beta:g}".replace(".", "_"),
        scores_by_seed(results, beta),
        f"Scores at β {beta:g}: a point a network, the two of one seed joined; bars are means.",
    )


def _write_published(page: Page, plan: Plan) -> None:
    page.heading("What others published", level=2)
    page.table(("source", "figures for dSprites"), _PUBLISHED)
    page.text(
        "MIG here is of codes drawn from the posterior, as Chen et al. define it, estimated with 20 bins; Locatello et "
        "al. take the posterior's means. SAP's class score and DCI's trees differ from both as `explaind/training/"
        "evaluation/disentanglement` says. The published networks are larger and trained far longer, so the figures "
        "stand beside ours and are not equalled by them."
    )


def _show(
    page: Page,
    plan: Plan,
    images: StudyImages,
    runs: Path,
    results: Sequence[Mapping[str, Any]],
    objective: ObjectiveName,
) -> None:
    """The network of median MIG at the first β."""
    chosen = sorted(
        (r for r in results if r["objective"] == objective and r["beta"] == plan.betas[0]), key=lambda r: r["mig"]
    )
    if not chosen:
        return
    result = chosen[(len(chosen) - 1) // 2]
    kl = np.array(result["latent_kl"])
    shown = [int(d) for d in np.argsort(-kl) if kl[d] >= USED]
    if not shown:
        page.text(f"{TITLES[objective]} of seed {result['seed']} uses no latent.")
        return
    networks = load_networks(runs, result["beta"], result["seed"], objective)
    with torch.no_grad():
        center = networks.encoder(tensors(images.seen.take(np.array([0])))[0])[0][0].numpy()
        codes = traversal.codes(center, shown)
        strips = (
            networks.decoder(torch.from_numpy(codes.reshape(-1, len(kl)))).numpy().reshape(*codes.shape[:2], 1, 64, 64)
        )
    page.figure(
        f"latents_{objective}",
        information_and_traversals(
            np.array(result["information"])[shown], entropies(images.factors), FACTORS,
            [f"z{d}\nKL {kl[d]:.2f}" for d in shown], strips, traversal.VALUES,
        ),
        f"{TITLES[objective]}, β {result['beta']:g}, seed {result['seed']} (MIG {result['mig']:.3f}, the median): what "
        "each used latent knows of each factor, in nats of codes drawn from the posterior (the fuller the cell, the "
        "larger the share of the factor's entropy H; framed: the latent that knows most), and the latent moved over "
        "[−3, 3], all others as in the first unseen image.",
    )  # fmt: skip


def _write_networks(page: Page, results: Sequence[Mapping[str, Any]]) -> None:
    page.heading("Each network", level=2)
    keys = [key for key in SCORES if key not in ("completeness", "informativeness", "mig_of_means")]
    page.table(
        ("objective", "β", "seed", *(SCORES[key] for key in keys), "processor seconds"),
        [
            (TITLES[r["objective"]], f"{r['beta']:g}", r["seed"], *(_figure(score(r, key)) for key in keys),
             f"{r['cpu_seconds']:.0f}")
            for r in results
        ],
    )  # fmt: skip
    page.text(f"Gap of each factor, whose mean is the MIG. {_unlearned(results)}")
    page.table(
        ("objective", "β", "seed", *FACTORS),
        [(TITLES[r["objective"]], f"{r['beta']:g}", r["seed"], *(_figure(gap) for gap in r["factor_gaps"]))
         for r in results],
    )  # fmt: skip


def _unlearned(results: Sequence[Mapping[str, Any]]) -> str:
    """Factors of which no latent of any network knows more than _KNOWN."""
    entropy = np.log([3, 6, 40, 32, 32])
    shares = np.array([np.max(result["information"], axis=0) / entropy for result in results]).max(axis=0)
    unknown = [f"{name} ({share:.2f})" for name, share in zip(FACTORS, shares, strict=True) if share < _KNOWN]
    if not unknown:
        return "Every factor is known to some latent of some network."
    return (
        "Hardly learned at this budget by any network (largest share of the factor's entropy that one latent knows): "
        f"{', '.join(unknown)}."
    )


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _figure(value: float) -> str:
    return f"{value:.3f}" if value < 1.5 else f"{value:.1f}".removesuffix(".0")
