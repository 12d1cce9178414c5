"""Rows of [PM]: semantic morphing and path masks."""

from __future__ import annotations

from explaind.training.evaluation.sources.row import Against, Row


def _morphing(bundle: str, data: str, figure: float, work: str) -> Row:
    return Row(
        source="[PM]",
        what=f"morphs that fail, {data}",
        figure=f"{figure:.2f} of 100",
        ours=(
            f"{{{bundle}:morphing.fast.failure_rate .3f}} of {{{bundle}:morphing.fast.images}}; the source's solver on "
            f"the same images {{{bundle}:morphing.reference.failure_rate .2f}} of "
            f"{{{bundle}:morphing.reference.images}}"
        ),
        work=work,
        verdict=Against(f"{bundle}:morphing.fast.failure_rate", figure, 2, lower=True),
    )


_OWN_SOLVER = (
    "The source's networks without the VAE's dropout, our solver (smoothed flow); threshold 0.01 bit as there."
)
_NO_SUCH_FIGURE = "It gives no such figure, so there is nothing to compare with."

PM_ROWS: tuple[Row, ...] = (
    _morphing("mnist", "MNIST", 0.03, _OWN_SOLVER),
    _morphing(
        "letters", "notMNIST", 0.02, f"{_OWN_SOLVER} Letters A–J rendered from other fonts: not notMNIST itself."
    ),
    _morphing(
        "fashion",
        "FashionMNIST",
        0.19,
        "[PM]'s classifier; its MNIST VAE with β 0.25 instead of its FashionMNIST VAE, which used 7 of its 100 latents "
        "when trained here; our solver, threshold 0.01 bit as there.",
    ),
    *(
        Row(
            source="[PM]",
            what=f"a second classifier sees the other class in the morph, {data}",
            figure="–",
            ours=(
                f"{{{bundle}:morphing.fast.judge_agreement .3f}}; the source's solver "
                f"{{{bundle}:morphing.reference.judge_agreement .3f}}; on the manifold (p ≥ 0.01) "
                f"{{{bundle}:morphing.fast.natural_p_value_share .3f}}"
            ),
            work="A check that the source did without.",
            verdict=_NO_SUCH_FIGURE,
        )
        for bundle, data in (("mnist", "MNIST"), ("letters", "letters"), ("fashion", "FashionMNIST"))
    ),
    Row(
        source="[PM]",
        what="steps of a morph",
        figure="at most 5000",
        ours=(
            "{mnist:morphing.fast.median_steps .0f} (median, MNIST); the source's solver "
            "{mnist:morphing.reference.median_steps .0f}; its morphs go "
            "{mnist:morphing.against_reference.median_distance_reference .2f} far, ours "
            "{mnist:morphing.against_reference.median_distance_fast .2f}"
        ),
        work="The source gives the cap, not what was needed. A step of ours asks for the gradient at five codes in one "
        "batch, one of theirs at one.",
        verdict=_NO_SUCH_FIGURE,
    ),
    Row(
        source="[PM]",
        what="path mask: how it is found",
        figure="3000 epochs of Adam, λ 1",
        ours=(
            "one pass; its objective over the source's: median {mnist:path_mask.against_reference.median_ratio .4f}, "
            "worst {mnist:path_mask.against_reference.worst_ratio .4f} of "
            "{mnist:path_mask.against_reference.images} images; same mask, IoU "
            "{mnist:path_mask.against_reference.median_iou .3f} in the median"
        ),
        work="The same objective on the same path, with the penalty frozen: the source's drifts with its running "
        "averages, so that its value would depend on history.",
        verdict=Against("mnist:path_mask.against_reference.median_ratio", 1.0, 2, of="objective"),
    ),
    Row(
        source="[PM]",
        what="correlation of entropy and gradient magnitude along paths",
        figure="0.593 (1,000 paths between training images)",
        ours=(
            "difference of logits {mnist:paths.entropy_gradient.nearest training images, radial.logits_mean .3f}, "
            "probability {mnist:paths.entropy_gradient.nearest training images, radial.probability_mean .3f} over "
            "{mnist:paths.entropy_gradient.nearest training images, radial.paths .0f} paths"
        ),
        work="Nearest-by-cosine training pairs of different classes on the radial curve, as there. The gradient of the "
        "two-class probability is nearly the entropy by construction, that of the logits is not: both are given.",
        verdict=Against(
            "mnist:paths.entropy_gradient.nearest training images, radial.logits_mean",
            0.593,
            3,
            neutral=True,
            of="logits",
        ),
    ),
    Row(
        source="[PM]",
        what="norm of the codes along a path",
        figure="radial interpolation said to keep it",
        ours=(
            "largest in the median, of 1 at the ends: slerp {mnist:paths.norms.our morphs, slerp.largest .2f}, "
            "radial {mnist:paths.norms.our morphs, radial.largest .2f}; least: linear "
            "{mnist:paths.norms.our morphs, linear.least .2f}"
        ),
        work="Our morphs' ends, which lie near each other.",
        verdict="Radial keeps the norm only of codes at a right angle; slerp does by construction.",
    ),
    Row(
        source="[PM]",
        what="path masks on CIFAR-10",
        figure="reconstructions too blurred to be useful",
        ours=(
            "SSIM {cifar10:classification.reconstruction.morphing.ssim .3f}, MSE "
            "{cifar10:classification.reconstruction.morphing.mse .4f}; read alike after reconstruction "
            "{cifar10:classification.agreement_after_reconstruction.morphing .3f}"
        ),
        work="The source's networks on 20,000 of the 50,000 training images.",
        verdict="The report has the pictures.",
    ),
)
