"""How the calls of all requests share what computes them: cores, or a device that does one call at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from explaind.backends.devices import cuda_devices, wants_cuda
from explaind.cores import cores
from explaind.engine.batching import Batcher
from explaind.settings import Settings

CPU_ROWS, CPU_SPREAD_ROWS = 64, 20
CUDA_WORKERS, CUDA_SLOTS, CUDA_ROWS = 4, 3, 128


@dataclass(frozen=True, slots=True)
class Sharing:
    """As the settings of these names."""

    slow_workers: int
    compute_slots: int
    batch_rows: int
    spread_rows: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What is set, and else what suits: on CUDA many rows take as long as one, and cores take no part."""
        on_cuda = wants_cuda(settings.device) and cuda_devices() > 0
        on_cores = (cores() + 1, cores() + 2, CPU_ROWS, CPU_SPREAD_ROWS)
        suited = (CUDA_WORKERS, CUDA_SLOTS, CUDA_ROWS, 0) if on_cuda else on_cores
        given = (settings.slow_workers, settings.compute_slots, settings.batch_rows, settings.spread_rows)
        return cls(*(usual if asked is None else asked for asked, usual in zip(given, suited, strict=True)))

    def batcher(self) -> Batcher:
        return Batcher(self.compute_slots, self.batch_rows, self.spread_rows, cores())
