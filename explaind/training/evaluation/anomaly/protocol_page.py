"""What the section `protocol` says of its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explaind.training.evaluation.anomaly.protocol import LATENTS, LOSSES, UNFITTED
from explaind.training.evaluation.anomaly.section import LOSS_TITLES
from explaind.training.evaluation.page import Page

MODEL_TITLES = {
    **LOSS_TITLES,
    LOSSES: "losses together",
    LATENTS: "losses and latents",
    UNFITTED: "Mahalanobis (no outliers needed)",
}


def write(page: Page, result: Mapping[str, Any], titles: Mapping[str, str], parts: tuple[str, ...]) -> None:
    """parts: of the data, that the in-distribution images are from."""
    shown = titles[result["kind"]]
    page.text(
        f"[AN]'s protocol: {result['inside_images']} held-out images ({_and(parts)} part) against 100, then 1,000, "
        f"outliers; {result['splits']} random divisions, 70 % to fit a logistic regression on, 30 % to test. «Same "
        "kind» is the source's: the regression has seen such outliers. «Kind held out» is what a service meets: the "
        "regression was fitted on equal parts of all other kinds, never on the one that is tested. The divisions are "
        f"the same for every row. Kind shown: {shown}."
        + (" The validation images were not fitted on, but training was stopped on them, and the Mahalanobis "
           "detector was fitted on them." if "validation" in parts else "")
    )  # fmt: skip
    page.text(
        "Average precision, the outlier being positive: mean ± deviation over the divisions; in brackets with the "
        "member of the distribution as the positive class, which is how the source defines it. The six losses of the "
        "source are five here for grey images, whose two cross entropies coincide; together they enter as the served "
        "regression has them, cross entropy as its excess over H(x)."
    )
    scenarios = list(result["scenarios"].values())
    header = ["scores by"]
    for scenario in scenarios:
        sizes = f"{result['inside_images']} / {scenario['outside_images']}"
        header += [f"{sizes}: same kind", f"{sizes}: kind held out"]
    rows: list[list[object]] = [
        ["a random score", *(f"{s['base_rate']:.3f} ({1 - s['base_rate']:.3f})" for s in scenarios for _ in range(2))]
    ]
    for model in scenarios[0]["same_kind"]:
        cells = [_cell(s[way][model]) for s in scenarios for way in ("same_kind", "kind_held_out")]
        rows.append([MODEL_TITLES[model], *cells])
    page.table(header, rows)
    _gains(page, result)
    _kinds(page, result, titles)


def _gains(page: Page, result: Mapping[str, Any]) -> None:
    lines = []
    for scenario in result["scenarios"].values():
        for key, way in (("gain_of_latents", "same kind"), ("gain_of_latents_kind_held_out", "kind held out")):
            g = scenario[key]
            lines.append(
                f"- {result['inside_images']} / {scenario['outside_images']}, {way}: {g['mean']:+.4f} "
                f"(deviation {g['deviation']:.4f}, middle 95 % {g['low']:+.4f} to {g['high']:+.4f}; "
                f"above 0 in {g['better']:.0%} of the divisions)"
            )
    page.text(
        "What the latents add to the losses: average precision of losses and latents less that of the losses alone, "
        "division by division:\n\n" + "\n".join(lines)
    )


def _kinds(page: Page, result: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    page.text(f"Every kind in turn, {result['inside_images']} images against up to 1,000, average precision:")
    rows = [
        [
            titles[kind],
            *(
                f"{both[way][model]['average_precision']:.3f}"
                for model in (LOSSES, LATENTS)
                for way in ("same_kind", "kind_held_out")
            ),
        ]
        for kind, both in result["kinds"].items()
    ]
    page.table(
        ["kind of outlier", "losses: same kind", "losses: kind held out", "with latents: same kind",
         "with latents: kind held out"],
        rows,
    )  # fmt: skip


def _cell(figures: Mapping[str, float]) -> str:
    members = figures["average_precision_members"]
    return f"{figures['average_precision']:.3f} ± {figures['deviation']:.3f} ({members:.3f})"


def _and(parts: tuple[str, ...]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
