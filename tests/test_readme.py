"""The README's two tables of figures are those of evaluation.json and benchmark.json.

`python -m tests.test_readme` writes them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from explaind.training.evaluation.lookup import figure_at
from tests.benchmarks.page import fill

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_KIND = "anomaly.mahalanobis.kinds"
_FIGURE = re.compile(r"\{([\w.]+) ([^}]+)\}")

MEASURED = (
    ("classifier accuracy (10,000 test digits)", "{classification.accuracy .4f}", "≥ 0.99"),
    (
        "classifier agrees with itself after reconstruction",
        "{classification.agreement_after_reconstruction.morphing .4f}",
        "≥ 0.97",
    ),
    (
        "digits with no morph to the runner-up, of {morphing.fast.images d}",
        "{morphing.fast.failure_rate .3f} (the source's solver: {morphing.reference.failure_rate .2f} of "
        "{morphing.reference.images d}; the source reports 0.03)",
        "≤ 0.01",
    ),
    (
        "a second classifier ({morphing.judge_accuracy .4f}) agrees with the morph",
        "{morphing.fast.judge_agreement .3f} (the source's solver: {morphing.reference.judge_agreement .3f})",
        "≥ 0.9",
    ),
    (
        "the morph is on the manifold (`other_p_value` ≥ 0.01)",
        "{morphing.fast.natural_p_value_share .3f} (the source's solver: "
        "{morphing.reference.natural_p_value_share .3f})",
        "≥ 0.9",
    ),
    (
        "distance to the counterpart, ours / the source's solver",
        "{morphing.against_reference.distance_ratio .2f}, in {morphing.fast.median_steps .0f} steps against "
        "{morphing.reference.median_steps .0f}",
        "≤ 1",
    ),
    (
        "worst path-mask objective, ours / the source's solver, {path_mask.against_reference.images d} digits",
        "{path_mask.against_reference.worst_ratio .4f}",
        "≥ 0.995",
    ),
    (
        "worst completeness gap, never rescaled, {path_mask.images d} digits",
        "{path_mask.completeness_gap.worst .5f}",
        "≤ 0.01",
    ),
    (
        "wrongly classified digits asked about their true class with T ≥ 0.5, of {path_mask.misclassified.images d}",
        "{path_mask.misclassified.share_with_half .3f}",
        "≥ 0.9",
    ),
    (
        "region of the mask swapped between two digits: the answer goes with it",
        "{cut_and_paste.mask.region.followed .3f} of {cut_and_paste.mask.swaps d} (a control region: "
        "{cut_and_paste.mask.control.followed .3f})",
        "",
    ),
    (
        "forest fidelity on «a or b?», median of the 45 pairs of digits",
        "{rankings.binary.median_fidelity .4f} (the source: 0.984)",
        "≥ 0.984",
    ),
    (
        "AUROC against FashionMNIST, letters, noise, flat images",
        ", ".join(f"{{{_KIND}.{kind}.auroc .4f}}" for kind in ("fashion_mnist", "letters", "noise", "flat")),
        "≥ 0.99",
    ),
    (
        "– blurred; turned by 90°; half contrast",
        "; ".join(f"{{{_KIND}.{kind}.auroc .3f}}" for kind in ("blurred", "rotated_90", "half_contrast")),
        "≥ 0.98; 0.90; 0.90",
    ),
    ("false alarms at level 0.05", "{anomaly.mahalanobis.false_alarm_rate .3f}", "0.04–0.06"),
    (
        "torch and TorchServe against ONNX, {backends.images d} digits: same class; same top-5 latents",
        "{backends.worst.same_class .3f}; {backends.worst.same_top_5 .3f}",
        "1",
    ),
    ("– largest difference of p-values", "{backends.worst.p_value_difference .1g}", "≤ 0.001"),
    (
        "– mask IoU, 5th percentile (worst)",
        "{backends.worst.mask_iou_5th_percentile .3f} ({backends.worst.mask_iou .3f})",
        "≥ 0.99 (–)",
    ),
)  # fmt: skip
EXPLANATIONS = {
    "prediction": "prediction",
    "latent ranking": "latent ranking (10 latents × 10 images)",
    "anomaly score": "anomaly score",
    "path mask": "path mask, morphing included",
    "all three": "all three",
}


def _filled(text: str, evaluation: dict[str, Any]) -> str:
    def figure(found: re.Match[str]) -> str:
        value = figure_at(evaluation, found[1])
        assert isinstance(value, int | float), found[1]
        return format(value, found[2])

    return _FIGURE.sub(figure, text)


def measured() -> str:
    evaluation = json.loads((ROOT / "model_store/mnist/evaluation.json").read_text(encoding="utf-8"))
    rows = [" | ".join(_filled(cell, evaluation) for cell in row) for row in MEASURED]
    return "\n".join(["| | measured | bar |", "|---|---|---|", *(f"| {row} |" for row in rows)])


def latencies() -> str:
    parts = json.loads((ROOT / "docs/performance/benchmark.json").read_text(encoding="utf-8"))["parts"]
    ways = [("explanations", "in process, one thread"), ("explanations", "gRPC"), ("backends", "torchserve")]
    lines = ["| median, ms | in process, one thread | over gRPC | through TorchServe |", "|---|--:|--:|--:|"]
    for what, name in EXPLANATIONS.items():
        found = [_row(parts[part], what, how)["median_ms"] for part, how in ways]
        lines.append(" | ".join([f"| {name}", *(f"{value:.3g}" for value in found)]) + " |")
    onnx, torch = (_row(parts["sources"], "path mask", how) for how in ("source's, onnx", "source's, PyTorch"))
    batch = _row(parts["batches"], "batch of 64", "gRPC")
    scored = f"batches of 64 images score {batch['items_per_second']:,.0f} a second over gRPC."
    said = (
        f"Side by side, the source's own procedure takes {onnx['median_s']:.0f} s for a path mask on the same",
        f"graphs, {onnx['times_ours']:,.0f} times as long, and {torch['median_s']:.0f} s in PyTorch, "
        f"{torch['times_ours']:,.0f} times; {scored}",
    )
    return "\n".join([*lines, "", *said])


def _row(part: dict[str, Any], what: str, how: str) -> dict[str, Any]:
    return next(row for row in part["rows"] if row["what"] == what and row["how"] == how)


def with_tables(page: str) -> str:
    tables = {"measured": measured, "latencies": latencies}
    return fill(page, lambda name: f"{tables[name]()}\n")


def test_its_figures_are_those_measured() -> None:
    page = README.read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == 2
    assert with_tables(page) == page


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
