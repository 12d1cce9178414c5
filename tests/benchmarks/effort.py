"""How much a run of the benchmark does, and where it says how far it is."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

BEGAN = time.monotonic()


@dataclass(frozen=True)
class Effort:
    """turns: of everything that is compared. block_seconds: of one subject's share of a turn. load_seconds: how long a
    load generator sends. digits: the source's solver explains whole, on ONNX; torch_digits: with `torch_steps` of the
    3000 steps, on PyTorch. soak_requests: sent while memory is watched. small: the largest untrained bundles are left
    out. before: an older source tree, whose daemon is measured beside ours."""

    store: Path
    out: Path
    turns: int = 5
    block_seconds: float = 0.4
    load_seconds: float = 2.0
    digits: int = 6
    torch_digits: int = 5
    torch_steps: int = 150
    soak_requests: int = 20_000
    small: bool = False
    before: Path | None = None
    quiet: bool = field(default=False)

    def quick(self) -> Effort:
        """A look, not a measurement: every part, in some minutes."""
        return replace(
            self,
            turns=2,
            block_seconds=0.1,
            load_seconds=0.7,
            digits=2,
            torch_digits=1,
            torch_steps=30,
            soak_requests=1_000,
            small=True,
        )

    def told(self, text: str) -> None:
        if not self.quiet:
            sys.stderr.write(f"{time.monotonic() - BEGAN:6.0f} s  {text}\n")
            sys.stderr.flush()
