"""Rows of [LR]: VAEs of pedestrians and three rankings of their latents."""

from __future__ import annotations

from explaind.explanations.types import RankingMethod
from explaind.training.evaluation.sources.row import Against, Row
from explaind.training.evaluation.truth.planted_rankings import WITHOUT_LABELS

_STUDY = "latent_ranking_models/results.json"
# Model: β, NMAE, used latents, latents, loss (Tables 3 to 8).
_MODELS = {
    "S1": (1, 0.036, 28, 32, 15310),
    "S2": (6, 0.044, 18, 32, 15496),
    "M1": (1, 0.031, 28, 32, 15262),
    "M2": (3, 0.037, 20, 32, 15362),
    "M3": (6, 0.038, 17, 32, 15426),
    "L1": (6, 0.034, 17, 34, 15403),
    "L2": (6, 0.036, 15, 64, 15411),
}
_SMALL_DATA = "The same network at 128×64; 641 crops of one video, few epochs: too small for a claim about pedestrians."


def _model(name: str) -> Row:
    beta, nmae, used, latents, loss = _MODELS[name]
    place = f"{_STUDY}:models.{name}"
    return Row(
        source="[LR]",
        what=f"VAE {name}, β {beta}",
        figure=f"NMAE {nmae:.3f}; {used} of {latents} latents used; loss {loss:,}",
        ours=(
            f"NMAE {{{place}.nmae .3f}}; {{{place}.used_latents .0f}} of {{{place}.latents .0f}}; loss "
            f"{{{place}.loss ,.0f}}"
        ),
        work=_SMALL_DATA,
        verdict=Against(f"{place}.nmae", nmae, 3, lower=True, of="NMAE"),
    )


def _fidelity(bundle: str) -> str:
    forest = f"{bundle}:rankings.forest"
    return f"{bundle} {{{forest}.unbounded .4f}}, {{{forest}.served .4f}}, {{{forest}.majority_rate .3f}}"


_MORE_CLASSES = ("mnist", "letters", "fashion", "sprites", "cifar10")
_TWO_CLASSES = ("planted_x", "planted_shape", "planted_mark", "faces", "pedestrians")
_PLANTED = {"planted_x": "x position", "planted_shape": "shape", "planted_mark": "a mark"}


_METHODS = {
    RankingMethod.GENERATED_IMAGES: "generated images",
    RankingMethod.ORIGINAL_IMAGES: "original images",
    RankingMethod.RANDOM_FOREST: "forest",
    RankingMethod.SOBOL: "Sobol",
}


def _planted(bundle: str, cause: str) -> Row:
    truth = f"{bundle}:truth.planted.rankings"
    shares = ", ".join(f"{name} {{{truth}.right_first.{method.value} .3f}}" for method, name in _METHODS.items())
    return Row(
        source="[LR]",
        what=f"who is right, where the cause is planted: {cause}",
        figure="judged by intuition",
        ours=f"right factor first: {shares} of {{{truth}.images }} images{_labels(truth, cause)}",
        work="Scenes drawn by a generator of our own, whose label depends on one factor alone.",
        verdict="A number where the source has an impression.",
    )


def _labels(truth: str, cause: str) -> str:
    """What the latents were trained with beside images, and what they did without it."""
    if cause not in WITHOUT_LABELS:
        return ""
    shares = ", ".join(f"{_METHODS[method]} {share:.3f}" for method, share in WITHOUT_LABELS[cause].items())
    count = f"{{{truth}.supervised_images }}"
    supervised = f"in a space trained with the factors of {count} training images"
    return f", {supervised}; in an earlier build, trained without labels: {shares}"


LR_ROWS: tuple[Row, ...] = (
    *(_model(name) for name in _MODELS),
    Row(
        source="[LR]",
        what="final generator: M3 with β·|KL − C|, C to 100",
        figure="NMAE 0.028; 15 of 32 latents used",
        ours=(
            f"NMAE {{{_STUDY}:models.M3 retrained.nmae .3f}}; {{{_STUDY}:models.M3 retrained.used_latents .0f}} of "
            f"{{{_STUDY}:models.M3 retrained.latents .0f}}"
        ),
        work=_SMALL_DATA,
        verdict=Against(f"{_STUDY}:models.M3 retrained.nmae", 0.028, 3, lower=True, of="NMAE"),
    ),
    Row(
        source="[LR]",
        what="discriminator's test accuracy",
        figure="99.95 %",
        ours="{pedestrians:classification.accuracy .4f} (majority {pedestrians:classification.majority_rate .3f})",
        work="The source's network; another question (torso brighter than the median, known from the pixels), split by "
        "blocks of frames, some hundred test images.",
        verdict=Against("pedestrians:classification.accuracy", 0.9995, 4),
    ),
    Row(
        source="[LR]",
        what="forest fidelity, two classes",
        figure="185 trees: 97.7 % in cross-validation, 98.4 % held out",
        ours=(
            "median of all pairs of digits {mnist:rankings.binary.median_fidelity .4f}, least "
            "{mnist:rankings.binary.least_fidelity .4f} (held out, 100 trees); best of them, "
            "{mnist:rankings.binary.best_question }, with 185 trees "
            "{mnist:rankings.binary.best_with_source_trees.cross_validation .4f} in cross-validation, "
            "{mnist:rankings.binary.best_with_source_trees.held_out .4f} held out; majority rate "
            "{mnist:rankings.binary.best_majority .3f}"
        ),
        work="«a or b?» put to the digits of two classes, on 10 used latents; the source's one question is of "
        "pedestrians. The median decides, not the best.",
        verdict=Against("mnist:rankings.binary.median_fidelity", 0.984, 3),
    ),
    Row(
        source="[LR]",
        what="forest fidelity over all classes",
        figure="–",
        ours="unbounded, served, majority rate: " + "; ".join(map(_fidelity, _MORE_CLASSES)),
        work="Ten classes, of sprites three (the shapes); the source has two. cifar10's latents know little of its "
        "classifier: one reconstruction in seven is read as the image is.",
        verdict="No such figure there.",
    ),
    Row(
        source="[LR]",
        what="forest fidelity, the other bundles' own questions",
        figure="98.4 % held out, two classes",
        ours="unbounded, served, majority rate: " + "; ".join(map(_fidelity, _TWO_CLASSES)),
        work="Two classes: the object on the left or on the right; a cross or a square (a space trained with labels); "
        "a faint or a bright mark; a face lit from the left or from the right (300 held out); a torso darker or "
        "brighter than the median (80 held out, 313 to learn from).",
        verdict="Each stands beside the rate of its more frequent answer.",
    ),
    Row(
        source="[LR]",
        what="forest: largest and least importance of a latent",
        figure="0.0904 and 0.0332",
        ours="{mnist:rankings.forest.largest_impurity .4f} and {mnist:rankings.forest.least_impurity .4f}",
        work="Digits, 10 used latents; the source ranks pedestrians' 15.",
        verdict="Importances add up to 1 over the latents, so their size tells their number more than anything else.",
    ),
    Row(
        source="[LR]",
        what="do the three rankings agree?",
        figure="the third (forest) with intuition, the first two less",
        ours=(
            "Spearman's ρ of the source's global rankings: generated / original "
            "{mnist:rankings.global.agreement.generated / original.spearman .2f}, generated / forest "
            "{mnist:rankings.global.agreement.generated / forest.spearman .2f}, original / forest "
            "{mnist:rankings.global.agreement.original / forest.spearman .2f}"
        ),
        work="Digits. Instead of intuition, planted causes decide who is right: see the rows of the truth.",
        verdict="A number where the source has an impression.",
    ),
    Row(
        source="[LR]",
        what="cut and paste: a region swapped between two images, scored again",
        figure="examples, judged by eye",
        ours=(
            "of {mnist:cut_and_paste.mask.swaps } swaps of the path mask's region the answer goes with it in "
            "{mnist:cut_and_paste.mask.region.followed .3f}; of a control region of the same shape in "
            "{mnist:cut_and_paste.mask.control.followed .3f}"
        ),
        work="Digits; the region is the mask's, not chosen by hand.",
        verdict="A number where the source has examples.",
    ),
    *(_planted(bundle, cause) for bundle, cause in _PLANTED.items()),
    Row(
        source="[LR]",
        what="what the latents mean: leg separation found by all seven models, size by six, views and jacket by fewer",
        figure="Table 8, read by eye",
        ours="–",
        work="Meanings are a person's reading of traversals; 641 crops of the few people of one video hold no such "
        "variety of views and clothes.",
        verdict="These data cannot answer it.",
    ),
    Row(
        source="[LR]",
        what="time of training",
        figure="105 to 270 epochs of 171 to 1287 s",
        ours="–",
        work="The source's hardware and number of images are other. Whole recipes took 13 (faces), 40 (sprites), "
        "41 (letters), 46 (pedestrians), 75 (fashion) and 104 minutes (cifar10), each beside other work on two shared "
        "cores; `--quick` takes minutes.",
        verdict="Not comparable.",
    ),
    Row(
        source="[LR]",
        what="importance beyond what a deviation can reach",
        figure="Table 12 has 1.256",
        ours="–",
        work="A deviation of means in [0, 1] is at most 0.5, so the source's table cannot be what its text defines.",
        verdict="Cannot be reproduced by anybody.",
    ),
)
