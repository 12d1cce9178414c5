"""One request from the catalogue to the answer: find the bundle, pick a backend, run, measure (DESIGN §1).

The transport-free core that gRPC, the command line and batch engines share. Blocking and thread-safe; nothing is
computed under a lock.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import structlog

from explaind.bundles.bundle import Bundle
from explaind.bundles.catalogue import Catalogue
from explaind.engine import batches, latents, served_bundle, stages, support
from explaind.engine.backend_pool import RETRY_SECONDS, Opener, openers
from explaind.engine.encoded_once import encoded_once
from explaind.engine.observe import Observing
from explaind.engine.served_bundle import ServedBundle
from explaind.engine.sharing import Sharing
from explaind.engine.stage_clock import StageClock, anytime_by_kind
from explaind.engine.stages import CAN_STOP_EARLY, DECODE
from explaind.errors import ConfigurationError, Unavailable
from explaind.explanations.budget import Budget
from explaind.explanations.models import FloatArray
from explaind.explanations.types import Explanation, RankingMethod, RankingScope, Solver
from explaind.images import ImageLimits, digest, prepare
from explaind.metrics import Metrics
from explaind.requests import (
    BackendState,
    CompareRequest,
    CompareResult,
    CostClass,
    ExplanationRequest,
    ImageInput,
    ModelDescription,
    ModelSummary,
    ScoreRequest,
    ScoreResult,
    TraverseRequest,
    TraverseResult,
    check_image_count,
)
from explaind.settings import Settings

log = structlog.get_logger(__name__)


class Engine:
    """All bundles of a model store. `open`, then `warm`, then any number of threads may ask; `close` at the end."""

    def __init__(self, settings: Settings, metrics: Metrics, available: dict[str, Opener]) -> None:
        """available: what opens a bundle, by backend, in the order they are tried."""
        self._settings = settings
        self.metrics = metrics
        self._observing = Observing(metrics)
        self._openers = available
        self._limits = ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._batcher = Sharing.of(settings).batcher()
        self._catalogue = Catalogue(settings.model_store, self._serve, self._show_models, only=settings.models)
        self._shown: set[tuple[str, str, str]] = set()
        self._closed = threading.Event()
        self._monitor = threading.Thread(target=self._watch_backends, name="backends", daemon=True)
        self._starting = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, metrics: Metrics) -> Self:
        """Fast; opens no bundle yet. Raises ConfigurationError for a backend that is unknown or not installed, and
        where the model store is no folder."""
        if not settings.model_store.is_dir():
            raise ConfigurationError(
                f"The model store {settings.model_store} is no folder: name one with --model-store."
            )
        return cls(settings, metrics, openers(settings))

    def warm(self) -> None:
        """Verifies, opens and tries every bundle, then keeps watch over store and backends. May be called again.

        Raises BackendUnavailable while no bundle has a live backend, BundleInvalid where all are refused,
        ConfigurationError for an empty or unreadable store, and where it has no model of a name that is to be served.
        """
        self._catalogue.refresh()
        with self._starting:
            if self._monitor.ident is None and not self._closed.is_set():
                self._monitor.start()
                self._catalogue.watch(self._settings.reload_seconds)
        if self._catalogue.missing():
            raise ConfigurationError(
                f"The model store {self._settings.model_store} has no model {', '.join(self._catalogue.missing())}: "
                "look at the names with `explaind models`, or build it with `explaind train`."
            )
        if not self._catalogue.all():
            raise self._nothing_served()

    def stop(self) -> None:
        """Opens no further bundle: a `warm` under way ends with the one that it is opening. What is served stays, until
        `close`."""
        self._catalogue.stop()

    def close(self) -> None:
        """Ends the watching and closes the backends; nothing may be running."""
        self._closed.set()
        self.stop()
        if self._monitor.ident is not None:
            self._monitor.join()
        for served in self._catalogue.all():
            served.pool.close()
        self._batcher.spreading.close()

    # ---- requests ---------------------------------------------------------------------------------------------

    def explain(self, request: ExplanationRequest, budget: Budget, *, checked: bool = False) -> Explanation:
        """checked: `check` has let it pass just now, and is not asked again.

        Raises any ExplaindError but ConfigurationError; see DESIGN §2 for which when."""
        budget.raise_if_cancelled()
        served = self._catalogue.get(request.model, request.version)
        kinds, clock = stages.kinds(request), StageClock()
        if not checked:
            _check(served, request, kinds, budget)
        with served.estimates.learning(kinds, clock, anytime=CAN_STOP_EARLY):
            with clock.stage(DECODE):
                image = self._prepare(request.image, served.bundle)
            image_digest = digest(image)
            explains = request.latent_ranking or request.anomaly_score or request.path_mask
            explanation = served.pool.run(
                lambda models: served.work(
                    encoded_once(models, image) if explains else models,  # a prediction alone asks nothing twice
                    clock,
                    budget,
                ).explain(request, image, image_digest)
            )
        self._observing.stages(served.bundle.name, clock)
        self._observing.explanation(explanation)
        return explanation

    def check(self, request: ExplanationRequest, budget: Budget) -> None:
        """Raises what `explain` would before it looks at the image, DeadlineTooShort included; from memory."""
        _check(self._catalogue.get(request.model, request.version), request, stages.kinds(request), budget)

    def score(self, request: ScoreRequest, budget: Budget) -> ScoreResult:
        """As `explain`, of many images at once; an image that cannot be used is an error of its own."""
        budget.raise_if_cancelled()
        served = self._catalogue.get(request.model, request.version)
        check_image_count(len(request.images), self._settings.max_batch_images)
        support.check_score(served.bundle, request.parameters, field="parameters")
        clock = StageClock()
        pieces = batches.pieces(len(request.images), served.bundle.manifest.image_shape)
        result = batches.joined([self._score_piece(served, request, piece, clock, budget) for piece in pieces])
        self._observing.stages(served.bundle.name, clock, max(len(result.indices), 1))
        self._observing.batch(result, len(request.images))
        return replace(result, timings=clock.timings)

    def compare(self, request: CompareRequest, budget: Budget) -> CompareResult:
        """As `explain`, of what tells two images apart."""
        budget.raise_if_cancelled()
        served = self._catalogue.get(request.model, request.version)
        space = support.latent_space(served.bundle, request.latent_space)
        kinds, clock = stages.COMPARE_KINDS, StageClock()
        served.estimates.require(budget, anytime_by_kind(kinds))
        with served.estimates.learning(kinds, clock):
            with clock.stage(DECODE):
                images = np.stack([self._prepare(image, served.bundle) for image in (request.image_a, request.image_b)])
            result = served.pool.run(lambda models: latents.compared(served.work(models, clock, budget), images, space))
        self._observing.stages(served.bundle.name, clock)
        return replace(result, image_digests=(digest(images[0]), digest(images[1])), timings=clock.timings)

    def traverse(self, request: TraverseRequest, budget: Budget) -> TraverseResult:
        """As `explain`, of what an image becomes as single latents are moved."""
        budget.raise_if_cancelled()
        served = self._catalogue.get(request.model, request.version)
        parameters = latents.settled(served.bundle, request.parameters)
        kinds, clock = stages.traverse_kinds(parameters), StageClock()
        served.estimates.require(budget, anytime_by_kind(kinds))
        with served.estimates.learning(kinds, clock):
            with clock.stage(DECODE):
                image = self._prepare(request.image, served.bundle)
            result = served.pool.run(
                lambda models: latents.traversed(served.work(models, clock, budget), image, parameters)
            )
        self._observing.stages(served.bundle.name, clock)
        return replace(result, image_digest=digest(image), timings=clock.timings)

    def usual_seconds(self, request: ExplanationRequest) -> float:
        """What such a request took of late in the median, from memory; infinite where that cannot be told: after too
        few of them, or where a backend outside this process or on a device of its own may have to be waited for."""
        served = self._catalogue.get(request.model, request.version)
        if not (served.pool.at_hand and self._batcher.free):
            return math.inf
        return served.estimates.usual(stages.kinds(request).values())

    @staticmethod
    def cost_class(request: ExplanationRequest) -> CostClass:
        """SLOW: path masks of the fast solver and local Sobol indices (global ones are read from a table)."""
        ranking, mask = request.latent_ranking, request.path_mask
        if mask is not None and mask.solver is Solver.REFERENCE:
            return CostClass.REFERENCE
        sobol = ranking is not None and (ranking.method, ranking.scope) == (RankingMethod.SOBOL, RankingScope.LOCAL)
        return CostClass.SLOW if sobol or mask is not None else CostClass.FAST

    # ---- what there is ----------------------------------------------------------------------------------------

    def list_models(self) -> tuple[ModelSummary, ...]:
        """By name; from memory."""
        served = self._catalogue.all()
        return tuple(
            ModelSummary(
                name=default.bundle.name,
                versions=tuple(each.bundle.version for each in served if each.bundle.name == default.bundle.name),
                description=default.bundle.manifest.description,
            )
            for default in self._catalogue.defaults()
        )

    def waiting_models(self) -> tuple[str, ...]:
        """Names of models that would be listed if only a backend served them; from memory."""
        return self._catalogue.waiting()

    def describe(self, model: str, version: str = "") -> ModelDescription:
        """From memory. Raises ModelNotFound, ModelLoading."""
        served = self._catalogue.get(model, version)
        return replace(served.description, backends=served.pool.states())

    def backend_states(self) -> tuple[BackendState, ...]:
        """Of each configured backend: alive where it serves every default version that can use it."""
        states = [state for served in self._catalogue.defaults() for state in served.pool.states()]
        return tuple(_overall(name, [state for state in states if state.name == name]) for name in self._openers)

    # ---- inside -----------------------------------------------------------------------------------------------

    def _serve(self, bundle: Bundle) -> ServedBundle:
        return served_bundle.serve(bundle, self._openers, self.metrics, self._batcher)

    def _score_piece(
        self, served: ServedBundle, request: ScoreRequest, positions: range, clock: StageClock, budget: Budget
    ) -> ScoreResult:
        with clock.stage(DECODE):
            images, errors = batches.prepare_all(
                request.images, positions, lambda image: self._prepare(image, served.bundle), budget
            )
        result = batches.empty_result(served.bundle, request, errors)
        if images:
            batch = np.stack(list(images.values()))
            result = served.pool.run(
                lambda models: batches.scored(
                    served.work(encoded_once(models, batch), clock, budget), batch, request, result
                )
            )
        return replace(result, indices=tuple(images))

    def _nothing_served(self) -> Exception:
        refused = list(self._catalogue.refusals().values())
        transient = [error for error in refused if isinstance(error, Unavailable)]
        for error in (*transient, *refused):
            return error
        return ConfigurationError(
            f"The model store {self._settings.model_store} holds no bundle: build one with `explaind train` or name "
            "another folder with --model-store."
        )

    def _watch_backends(self) -> None:
        while not self._closed.wait(RETRY_SECONDS):
            for served in self._catalogue.all():
                try:
                    served.pool.check()
                except Exception:  # the thread must outlive whatever a backend brings
                    log.exception("backends not looked at", model=served.bundle.name)

    def _show_models(self) -> None:
        now = {(served.bundle.name, served.bundle.version, served.bundle.digest) for served in self._catalogue.all()}
        for labels in self._shown - now:
            self.metrics.model_info.remove(*labels)
        for labels in now:
            self.metrics.model_info.labels(*labels).set(1)
        self._shown = now

    def _prepare(self, image: ImageInput, bundle: Bundle) -> FloatArray:
        return prepare(image, bundle.manifest.image_shape, self._limits)


def _check(served: ServedBundle, request: ExplanationRequest, kinds: Mapping[str, str], budget: Budget) -> None:
    """kinds: of the request's stages."""
    support.check(served.bundle, request)
    served.estimates.require(budget, anytime_by_kind(kinds, CAN_STOP_EARLY))


def _overall(name: str, states: list[BackendState]) -> BackendState:
    detail = next((state.detail for state in states if not state.alive), "" if states else "No model is served.")
    return BackendState(name=name, alive=not detail, detail=detail)
