"""The page of the study of [LR]'s VAEs: table, figures, and what they do and do not show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explaind.errors import ConfigurationError
from explaind.training.datasets import Splits
from explaind.training.evaluation.page import Page
from explaind.training.studies.pedestrian_figures import against_the_source, reconstructions
from explaind.training.studies.pedestrian_fits import FULL, MODELS, Plan, load_autoencoder, load_results, unseen

RESULTS = "results.json"
_SHOWN = 7  # test images in the figure
_HEADER = (
    "model", "β", "NMAE", "[LR]", "used latents", "[LR]", "loss, nats", "[LR]", "cross entropy, nats",
    "over the images' own", "KL, nats", "epochs", "[LR]", "processor seconds an epoch", "[LR]",
)  # fmt: skip


def write_page(plan: Plan, splits: Splits, runs: Path, results_folder: Path) -> None:
    """Writes README.md, results.json and figures of what is finished. Raises ConfigurationError."""
    results = load_results(plan, runs)
    if not results:
        return
    page = Page(results_folder, "The VAEs of [LR] on 641 pedestrians")
    _say(page, results, plan)
    page.table(_HEADER, [_row(name, result) for name, result in results.items()])
    page.figure(
        "against_the_source", against_the_source(results), "NMAE and latents in use, ours and the source's, by model"
    )
    _show(page, results, splits, runs)
    _conclude(page, results)
    try:
        page.save()
        partial = results_folder / "results.partial"
        partial.write_text(json.dumps({"models": _json(results)}, indent=1, ensure_ascii=False) + "\n", "utf-8")
        partial.replace(results_folder / RESULTS)
    except OSError as error:
        raise ConfigurationError(f"{results_folder} cannot be written ({error.strerror}); name another.") from error


def _say(page: Page, results: Mapping[str, Any], plan: Plan) -> None:
    first = next(iter(results.values()))
    epochs = ", ".join(f"{size.upper()} {count}" for size, count in plan.epochs.items())
    page.text(
        "[LR] compares seven VAEs of pedestrians, three widths and several β, and retrains its choice, M3, with "
        f"β·|KL − C|. Here the same networks at 128×64 are fitted to {first['images']} crops of one surveillance video "
        f"and measured on {first['unseen_images']} crops from other blocks of its frames. Each has one run, a fraction "
        f"of the source's epochs ({epochs}: the wide ones cost most), batches of {plan.batch_size}. **So "
        "few images of so few people support no claim about pedestrians**; what can be compared is how "
        "width and β change error and latents."
    )
    if plan != FULL:
        page.text("This is the quick variant, which only shows that the study runs: its figures mean nothing.")
    missing = [name for name in MODELS if name not in results]
    if missing:
        page.text(f"Not yet fitted: {', '.join(missing)}.")
    page.text(
        "Loss and cross entropy are sums over an image's 24,576 values, from the mean code; the loss adds the KL as "
        "the objective weighs it. A loss depends above all on how grey the images are, so that ours and the source's, "
        "of other images, cannot be compared; hence the column over the images' own entropy, which no model can go "
        "below. A latent is in use with a mean KL of 0.1 nat and a visible effect of 0.02."
    )


def _row(name: str, result: Mapping[str, Any]) -> tuple[object, ...]:
    source = result["source"]
    return (
        name, f"{result['beta']:g}", f"{result['nmae']:.3f}", f"{source['nmae']:.3f}",
        f"{result['used_latents']} of {result['latents']}", source["used_latents"],
        f"{result['loss']:,.0f}", _thousands(source["loss"]), f"{result['cross_entropy']:,.0f}",
        f"{result['excess']:.0f}", f"{result['kl']:.1f}", result["epochs"], source["epochs"],
        f"{result['cpu_seconds_an_epoch']:.1f}", source["seconds"],
    )  # fmt: skip


def _thousands(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _show(page: Page, results: Mapping[str, Any], splits: Splits, runs: Path) -> None:
    images = unseen(splits)
    chosen = images[:: max(1, len(images) // _SHOWN)][:_SHOWN]
    rebuilt = {}
    for name in results:
        autoencoder = load_autoencoder(runs, name)
        rebuilt[name] = autoencoder.decode(autoencoder.encode(chosen)[0])
    notes = [f"NMAE {result['nmae']:.3f}" for result in results.values()]
    page.figure(
        "reconstructions",
        reconstructions(chosen, rebuilt, notes),
        f"{len(chosen)} test images, evenly taken from the test set, and what each model makes of them",
    )


def _conclude(page: Page, results: Mapping[str, Any]) -> None:
    """What the source found, each beside what is found here."""
    page.heading("What the source found, and what is found here", level=2)
    lines = [
        _fewer(results, "S1", "S2"),
        _fewer(results, "M1", "M3"),
        _compared(results, "M3", "M3 retrained", "the retrained M3 rebuilds better than M3 (0.028 against 0.038)"),
        _compared(results, "S1", "M1", "M rebuilds better than S at β 1 (0.031 against 0.036)"),
    ]
    page.text("\n".join(f"- {line}" for line in lines if line))


def _fewer(results: Mapping[str, Any], low: str, high: str) -> str:
    if low not in results or high not in results:
        return ""
    theirs = f"{MODELS[low].source.used_latents} and {MODELS[high].source.used_latents}"
    first, second = results[low], results[high]
    fewer, worse = second["used_latents"] < first["used_latents"], second["nmae"] > first["nmae"]
    return (
        f"A higher β leaves fewer latents and a larger error: {low} and {high} used {theirs} in the source, here "
        f"{first['used_latents']} and {second['used_latents']} ({'so' if fewer else 'not so'}), at an NMAE of "
        f"{first['nmae']:.3f} and {second['nmae']:.3f} ({'so' if worse else 'not so'})."
    )


def _compared(results: Mapping[str, Any], first: str, second: str, claim: str) -> str:
    if first not in results or second not in results:
        return ""
    before, after = results[first]["nmae"], results[second]["nmae"]
    verdict = "so it is here" if after < before else "not so here"
    return f"In the source {claim}; {verdict}: {after:.3f} against {before:.3f}."


def _json(results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {key: _short(value) for key, value in result.items() if key != "digest"}
        for name, result in results.items()
    }


def _short(value: object) -> object:
    return float(f"{value:.6g}") if isinstance(value, float) else value
