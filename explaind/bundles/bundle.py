"""One verified bundle in memory: what it says it is, its statistics and the names of its latents (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from explaind.bundles import labels, manifest, reference
from explaind.bundles.manifest import Manifest, Space
from explaind.errors import BundleInvalid
from explaind.explanations.types import Factor, RankingReference, Reference

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """digest: SHA-256 of the manifest, for provenance. factors: by latent space, one for every dimension."""

    folder: Path
    manifest: Manifest
    digest: str
    reference: Reference
    factors: dict[str, tuple[Factor, ...]]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    def supports(self, explanation: str) -> bool:
        return explanation in self.manifest.explanations


def load(folder: Path) -> Bundle:
    """Reads and verifies <model store>/<name>/<version>/. Labels come from <model store>/<name>/labels.toml.

    Raises BundleInvalid naming the file and what to do about it.
    """
    described = manifest.read(folder)
    if (described.name, described.version) != (folder.parent.name, folder.name):
        raise BundleInvalid(
            f"{folder / manifest.FILE_NAME} says it is {described.name}/{described.version}: "
            "put it in the folder of that name and version."
        )
    manifest.verify(folder, described)
    statistics = reference.load(folder / "reference.npz")
    for problem in _misfits(described, statistics):
        raise BundleInvalid(f"{folder / 'reference.npz'} {problem}: {manifest.REBUILD}.")
    return Bundle(
        folder=folder,
        manifest=described,
        digest=manifest.digest(folder),
        reference=statistics,
        factors=_factors(folder.parent / labels.FILE_NAME, described),
    )


def _misfits(described: Manifest, statistics: Reference) -> Iterator[str]:
    """What the manifest promises and the statistics do not keep."""
    classes = len(described.class_names)
    for name, ranking in statistics.rankings.items():
        space = described.space_named(name)
        if space is None:
            yield f"ranks the latent space {name}, which the manifest does not list"
        elif not _fits(ranking, space.latent_count, classes):
            yield f"holds statistics of other shapes than the latent space {name} has"
    ranked = described.space_with_role("ranking")
    if "latent_ranking" in described.explanations and (ranked is None or ranked.name not in statistics.rankings):
        yield "holds no latent ranking, which the manifest promises"
    morphing = described.space_with_role("morphing")
    if "anomaly_score" in described.explanations and (morphing is None or statistics.anomaly is None):
        yield "holds no anomaly score, which the manifest promises"
    if "path_mask" in described.explanations and (morphing is None or statistics.morph is None):
        yield "holds no class norms for the path mask, which the manifest promises"
    if statistics.morph is not None and statistics.morph.class_norms.shape != (classes,):
        yield f"holds class norms of another number of classes than {classes}"


def _fits(ranking: RankingReference, latents: int, classes: int) -> bool:
    by_latent = (ranking.used, ranking.mean_kl, ranking.visible_effect, ranking.mean, ranking.deviation)
    return (
        all(array.shape == (latents,) for array in by_latent)
        and ranking.bin_counts.shape[0] == latents
        and all(array.shape[::2] == (latents, classes) for array in (ranking.bin_logit, ranking.generated_logit))
        and ranking.sobol_total.shape == (classes, latents)
    )


def _factors(path: Path, described: Manifest) -> dict[str, tuple[Factor, ...]]:
    named = _usable_labels(path, described)
    return {
        space.name: labels.factors_of(space.latent_count, _fitting(path, space, named.get(space.name)))
        for space in described.spaces
    }


def _usable_labels(path: Path, described: Manifest) -> dict[str, labels.SpaceLabels]:
    """Names are decoration: without them everything is still served, so a damaged file is only warned of."""
    try:
        return labels.parse_labels(path)
    except BundleInvalid as error:
        log.warning("latents are unlabelled", model=described.name, version=described.version, why=error.message)
        return {}


def _fitting(path: Path, space: Space, named: labels.SpaceLabels | None) -> labels.SpaceLabels | None:
    why = labels.misfit(named, space.latent_count, space.encoder_digest) if named else ""
    if not why:
        return named
    log.warning("latents are unlabelled", labels=path.name, latent_space=space.name, why=why)
    return None
