"""The backends of one bundle in the order they are tried: opened, proved, taken out when they fail, let in again.

No lock is held while anything computes: a slot is replaced by assignment, and who read it before goes on with it.
"""

from __future__ import annotations

import importlib
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import structlog

from explaind.backends.bundle_models import BundleModels
from explaind.backends.call_context import calling
from explaind.backends.probe import verify_probe
from explaind.errors import (
    BackendUnavailable,
    ConfigurationError,
    DeadlineTooShort,
    ExplaindError,
    LaunchFailed,
    Unavailable,
)
from explaind.metrics import Metrics
from explaind.requests import BackendState
from explaind.settings import Settings

log = structlog.get_logger(__name__)

R = TypeVar("R")
Opener = Callable[[Path], BundleModels]
Ping = Callable[[BundleModels], object]

RETRY_SECONDS = 2.0
PING_SECONDS = 3.0
"""How long a remote backend may take over one small call. Too small: a busy one looks dead."""
REMOTE = frozenset({"torchserve"})
"""Backends that can die between two requests: they are looked at even when nobody asks."""

_EXTRAS = {"onnx": "server", "torch": "train", "torchserve": "torchserve"}


def openers(settings: Settings) -> dict[str, Opener]:
    """What opens a bundle with each backend that is configured, in that order; no other backend is imported.

    Raises ConfigurationError for an unknown backend and for one that is not installed.
    """
    if not settings.backends:
        raise ConfigurationError('No backend is configured: set EXPLAIND_BACKENDS, for instance to ["onnx"].')
    return {name: _opener(name, settings) for name in settings.backends}


def _opener(name: str, settings: Settings) -> Opener:
    if name not in _EXTRAS:
        raise ConfigurationError(f"There is no backend {name!r}: choose of {', '.join(_EXTRAS)}.")
    try:
        module = importlib.import_module(f"explaind.backends.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The backend {name} needs {error.name}: pip install 'explaind[{_EXTRAS[name]}]'."
        ) from error
    options: dict[str, object] = {"threads": settings.threads, "device": settings.device}
    if name == "torchserve":
        if not settings.torchserve_address:
            raise ConfigurationError("The backend torchserve needs an address: set EXPLAIND_TORCHSERVE_ADDRESS.")
        options = {"address": settings.torchserve_address, "management": settings.torchserve_management}
    return lambda folder: module.open_bundle(folder, **options)


@dataclass(frozen=True, slots=True)
class _Slot:
    """models None: never opened so far. problem: why it does not serve; empty where it does."""

    models: BundleModels | None
    problem: str


class BackendPool:
    """The backends of one bundle. What it opened is closed when nobody holds the pool any more, or by `close`."""

    def __init__(self, folder: Path, available: Mapping[str, Opener], metrics: Metrics, ping: Ping) -> None:
        """Opens all; those that fail are tried again by `check`. ping: asks little of a backend that may have died.

        Raises BundleInvalid where the bundle itself is at fault, BackendUnavailable where no backend opens.
        """
        self._folder = folder
        self._openers = dict(available)
        self._metrics = metrics
        self._ping = ping
        self._opened: list[BundleModels] = []
        self._finalizer = weakref.finalize(self, _close_all, self._opened)
        self._slots = dict.fromkeys(self._openers, _Slot(None, "It was not opened yet."))
        for name in self._openers:
            self._admit(name)
        self._require_one()

    def alive(self) -> tuple[str, ...]:
        """Names of the backends that serve, in the order they are tried."""
        return tuple(name for name, slot in self._slots.items() if not slot.problem)

    def states(self) -> tuple[BackendState, ...]:
        return tuple(
            BackendState(name=name, alive=not slot.problem, detail=slot.problem) for name, slot in self._slots.items()
        )

    @property
    def at_hand(self) -> bool:
        """Whether all backends that may have to answer compute in this process, on its processor."""
        return all(
            name not in REMOTE and (slot.models is None or slot.models.device == "CPU")
            for name, slot in self._slots.items()
        )

    def run(self, work: Callable[[BundleModels], R]) -> R:
        """`work` with the first live backend; where that raises BackendUnavailable, from the start with the next.

        Raises BackendUnavailable with `retry_after` where none is left.
        """
        failed: tuple[str, BackendUnavailable] | None = None
        for name, models in self._live():
            if failed:
                self._count_fallback(*failed, name)
            try:
                return work(models)
            except BackendUnavailable as error:
                self._take_out(name, error)
                failed = name, error
        raise self._nobody()

    def each(self, work: Callable[[BundleModels], object]) -> None:
        """`work` with every live backend; who fails is taken out. Raises BackendUnavailable where none is left."""
        for name, models in self._live():
            try:
                work(models)
            except BackendUnavailable as error:
                self._take_out(name, error)
        self._require_one()

    def check(self) -> None:
        """Lets in what has recovered and finds out what has died unasked. Blocks as long as the backends do."""
        for name, models in self._live():
            if name in REMOTE:
                self._look_at(name, models)
        for name, slot in self._slots.items():
            if slot.problem:
                self._try_again(name)

    def close(self) -> None:
        """Nothing may run in it any more."""
        self._finalizer()

    def _live(self) -> list[tuple[str, BundleModels]]:
        slots = dict(self._slots)
        return [(name, slot.models) for name, slot in slots.items() if slot.models is not None and not slot.problem]

    def _admit(self, name: str) -> None:
        """Opens what was never open, and lets in what answers the bundle's probe right."""
        try:
            models = self._slots[name].models or self._open(name)
            models.check()
            verify_probe(models, self._folder)
        except (Unavailable, LaunchFailed) as error:
            self._take_out(name, error)
            return
        self._slots[name] = _Slot(models, "")
        log.info("backend serves", backend=name, device=models.device, bundle=str(self._folder))

    def _open(self, name: str) -> BundleModels:
        models = self._openers[name](self._folder)
        self._opened.append(models)
        self._slots[name] = replace(self._slots[name], models=models)
        return models

    def _try_again(self, name: str) -> None:
        try:
            self._admit(name)
        except ExplaindError as error:  # the files may have been altered since; what is open goes on
            self._take_out(name, error)

    def _look_at(self, name: str, models: BundleModels) -> None:
        try:
            models.check()
            with calling(request_id="liveness", deadline=time.monotonic() + PING_SECONDS):
                self._ping(models)
        except (BackendUnavailable, DeadlineTooShort) as error:
            self._take_out(name, error)

    def _take_out(self, name: str, error: ExplaindError) -> None:
        slot = self._slots[name]
        self._slots[name] = replace(slot, problem=error.message)
        if slot.problem != error.message:
            log.warning("backend taken out", backend=name, bundle=str(self._folder), why=error.message)

    def _count_fallback(self, failed: str, error: BackendUnavailable, to: str) -> None:
        """The reason is one of the causes that backends name, a fixed set."""
        self._metrics.backend_fallback.labels(failed, to, error.metadata.get("cause", "failed")).inc()

    def _require_one(self) -> None:
        if not self.alive():
            raise self._nobody()

    def _nobody(self) -> BackendUnavailable:
        names = ", ".join(self._slots)
        return BackendUnavailable(
            f"No backend serves this model now ({names}): try again in {RETRY_SECONDS:g} s; the log says why.",
            retry_after=RETRY_SECONDS,
            metadata={"backends": names},
        )


def _close_all(opened: list[BundleModels]) -> None:
    for models in opened:
        models.close()
