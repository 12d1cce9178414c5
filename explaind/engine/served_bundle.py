"""A bundle made ready to answer: its backends open, proved by its probe, and warmed by a whole explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from explaind.backends.bundle_models import BundleModels
from explaind.bundles.bundle import Bundle
from explaind.engine.backend_pool import REMOTE, BackendPool, Opener
from explaind.engine.batching import Batcher, Observe, batched
from explaind.engine.model_description import described
from explaind.engine.stage_clock import Estimates, StageClock
from explaind.engine.stages import ANOMALY_SCORE, LATENT_RANKING, PATH_MASK
from explaind.engine.work import Work
from explaind.errors import ConfigurationError
from explaind.explanations import tree_shap
from explaind.explanations.budget import Budget
from explaind.explanations.models import FloatArray
from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters
from explaind.metrics import Metrics
from explaind.requests import ExplanationRequest, ImageInput, ModelDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBundle:
    """A verified bundle with its open backends and what its requests take of late. description: but for the backends'
    states; made once, since health asks for it twice a second."""

    bundle: Bundle
    pool: BackendPool
    description: ModelDescription
    estimates: Estimates = field(default_factory=Estimates)

    def work(self, models: BundleModels, clock: StageClock, budget: Budget) -> Work:
        return Work(bundle=self.bundle, models=models, clock=clock, budget=budget)


def serve(bundle: Bundle, available: Mapping[str, Opener], metrics: Metrics, batcher: Batcher) -> ServedBundle:
    """available: what opens a bundle, by backend, in the order they are tried. batcher: whose slots its calls share.

    Raises BundleInvalid where the bundle is at fault, BackendUnavailable where no backend serves it now,
    ConfigurationError where it is for none of these backends, and what a first explanation raises.
    """
    observe = metrics.backend_batches.observer(bundle.name)
    usable = {
        name: opener if name in REMOTE else _batching(opener, batcher, observe)
        for name, opener in available.items()
        if name in bundle.manifest.backends
    }
    if not usable:
        raise ConfigurationError(
            f"{bundle.folder} is for the backends {', '.join(bundle.manifest.backends)}, configured are "
            f"{', '.join(available)}: configure one of its backends."
        )
    pool = BackendPool(bundle.folder, usable, metrics, lambda models: _ping(bundle, models))
    served = ServedBundle(bundle=bundle, pool=pool, description=described(bundle))
    pool.each(lambda models: _warm_up(served, models))
    _prepare_forests(bundle)
    return served


def _batching(opener: Opener, batcher: Batcher, observe: Observe) -> Opener:
    """For backends that compute in this process; a remote one puts requests together on its own side."""
    return lambda folder: batched(opener(folder), batcher, observe)


def _warm_up(served: ServedBundle, models: BundleModels) -> None:
    """A whole explanation, so that the first caller's is as fast as the next, and fails here if it must."""
    supports = served.bundle.supports
    request = ExplanationRequest(
        model=served.bundle.name,
        image=ImageInput(),
        latent_ranking=LatentRankingParameters() if supports(LATENT_RANKING) else None,
        anomaly_score=AnomalyScoreParameters(level=1.0) if supports(ANOMALY_SCORE) else None,
        path_mask=PathMaskParameters(step_count=10, max_steps=10) if supports(PATH_MASK) else None,
    )
    served.work(models, StageClock(), Budget()).explain(request, _typical_image(served.bundle, models))


def _prepare_forests(bundle: Bundle) -> None:
    """A forest's first contributions would take a tenth of a second longer than the next."""
    for ranking in bundle.reference.rankings.values():
        if ranking.forest is not None:
            tree_shap.leaf_boxes(ranking.forest)


def _typical_image(bundle: Bundle, models: BundleModels) -> FloatArray:
    """What the prior's middle decodes to; black without a decoder."""
    for space in bundle.manifest.spaces:
        if space.name in models.autoencoders:
            origin = np.zeros((1, space.latent_count), np.float32)
            return np.ascontiguousarray(models.autoencoders[space.name].decode(origin)[0])
    return np.zeros(bundle.manifest.image_shape, np.float32)


def _ping(bundle: Bundle, models: BundleModels) -> None:
    """One small call to each network's worker."""
    models.classifier.logits(_typical_image(bundle, models)[None])
