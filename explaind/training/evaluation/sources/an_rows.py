"""Rows of [AN]: anomalies, disentanglement and comparison of latents."""

from __future__ import annotations

from explaind.training.evaluation.sources.row import Compared, Row

_FACES = "CBCL faces and non-faces, 19×19 grey, padded to 32×32: not the source's images."
_TERMS = "reconstruction_terms/results.json:terms"
_SMOOTH = "faces:texture.smoothest_quarter_passing"
_STUDY = "disentanglement/results.json:summary.6"
_FIRST = "faces:protocol.scenarios.100.same_kind"
_SECOND = "faces:protocol.scenarios.1000.same_kind"

AN_ROWS: tuple[Row, ...] = (
    Row(
        source="[AN]",
        what="faces: active latents",
        figure="14 of 32",
        ours="{faces:classification.used_latents.latents .0f} of {faces:classification.latents.latents .0f}",
        work=_FACES,
        verdict="How many latents are used depends on β and on the images' detail; there is no better direction.",
    ),
    Row(
        source="[AN]",
        what="1,000 held-out faces against 100 non-faces, six losses, 100 splits",
        figure="«fairly low» precision",
        ours=(
            f"average precision {{{_FIRST}.six_losses.average_precision .3f}} ± {{{_FIRST}.six_losses.deviation .3f}} "
            "(non-faces positive, base rate {faces:protocol.scenarios.100.base_rate .3f}); "
            f"{{{_FIRST}.six_losses.average_precision_members .3f}} with faces positive"
        ),
        work=f"{_FACES} The same protocol: 70/30 splits, logistic regression.",
        verdict="The source gives no number; a low precision fits only the non-face as the positive class.",
    ),
    Row(
        source="[AN]",
        what="1,000 faces against 1,000 non-faces, losses and latents",
        figure="«highly accurate and precise»",
        ours=(
            f"average precision {{{_SECOND}.losses_and_latents.average_precision .3f}}, losses alone "
            f"{{{_SECOND}.six_losses.average_precision .3f}}; gain over the same splits "
            "{faces:protocol.scenarios.1000.gain_of_latents.mean +.3f}"
        ),
        work=f"{_FACES} Beside it, in the report, the kind of outlier held out of the fit.",
        verdict="The source gives no number.",
    ),
    Row(
        source="[AN]",
        what="coefficients of the logistic regression",
        figure="those of MSE and SSIM largest",
        ours=(
            "MSE {faces:anomaly.coefficients.mse +.2f}, 1 − SSIM {faces:anomaly.coefficients.one_minus_ssim +.2f}, MAE "
            "{faces:anomaly.coefficients.mae +.2f}, cosine {faces:anomaly.coefficients.cosine_distance +.2f}, cross "
            "entropy {faces:anomaly.coefficients.cross_entropy_excess +.2f}"
        ),
        work=f"{_FACES} Standardised features, latents among them; cross entropy less H(x).",
        verdict="The losses rise and fall together, so how a fit divides weight among them says little.",
    ),
    Row(
        source="[AN]",
        what="average precision after training with SSIM and with cosine distance",
        figure="SSIM better",
        ours=", ".join(
            f"{name} {{{_TERMS}.{term}.average_precision .3f}} ± {{{_TERMS}.{term}.average_precision_deviation .3f}}"
            for name, term in (
                ("SSIM", "ssim"),
                ("cosine", "cosine"),
                ("squared error", "gaussian"),
                ("Bernoulli", "bernoulli"),
            )
        ),
        work=f"{_FACES} The source's task, one VAE a term with its own weight on the KL, one seed.",
        verdict=Compared(f"{_TERMS}.ssim.average_precision", f"{_TERMS}.cosine.average_precision"),
    ),
    Row(
        source="[AN]",
        what="smooth images with large flat areas rebuild well whatever they show",
        figure="MSE alone is fooled",
        ours=(
            "rank correlation of texture and MSE among non-faces {faces:texture.mse_correlation.outside .2f}; of the "
            "smoothest quarter of non-faces {faces:texture.smoothest_quarter_passing.mse .2f} pass by MSE, "
            "{faces:texture.smoothest_quarter_passing.mahalanobis .2f} by the served p-value"
        ),
        work=_FACES,
        verdict=Compared(f"{_SMOOTH}.mse", f"{_SMOOTH}.mahalanobis"),
    ),
    Row(
        source="[AN]",
        what="two encodings compared: the latent that differs most names what changed",
        figure="sunglasses: z17",
        ours=(
            "sunglasses drawn on {faces:comparison.pairs} faces: {faces:comparison.sunglasses.first} differs most in "
            "{faces:comparison.sunglasses.share_first .2f} of them, a moustache: {faces:comparison.moustache.first} in "
            "{faces:comparison.moustache.share_first .2f}"
        ),
        work=f"{_FACES} Drawn, so that it is known what differs; no pair with and without real glasses is alike else.",
        verdict="The report says which latent names which change.",
    ),
    Row(
        source="[AN]",
        what="dSprites: factors found by a β-TCVAE",
        figure="shape, scale, orientation, x, y in traversals over [−3, 3]",
        ours="MIG {sprites:disentanglement.spaces.ranking.mig .3f}, FactorVAE score "
        "{sprites:disentanglement.spaces.ranking.factor_vae .3f}, "
        "{sprites:classification.used_latents.ranking } latents used",
        work="The same images, a sample of them; the source shows traversals and gives no number.",
        verdict="See the report.",
    ),
    Row(
        source="[AN]",
        what="dSprites: weight on the total correlation alone (β-TCVAE) against on the whole KL (β-VAE)",
        figure="preferred, no figure; in Chen et al. 2018, where it is from, higher MIG",
        ours=(
            f"MIG at β 6: β-TCVAE {{{_STUDY}.beta_tc.mig.mean .3f}} ± {{{_STUDY}.beta_tc.mig.deviation .3f}}, β-VAE "
            f"{{{_STUDY}.beta.mig.mean .3f}} ± {{{_STUDY}.beta.mig.deviation .3f}}; higher for "
            f"{{{_STUDY}.pairs.higher }} of {{{_STUDY}.pairs.of }} seeds"
        ),
        work="A smaller network, a part of the images and a small part of the steps; the same for both objectives.",
        verdict=Compared(f"{_STUDY}.beta_tc.mig.mean", f"{_STUDY}.beta.mig.mean"),
    ),
)
