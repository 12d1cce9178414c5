"""All that the next epoch of a fit depends on: network, optimizer, schedule, random numbers, the best epoch so far."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from explaind.training.checkpoints import Snapshot

_NETWORK, _BEST, _OPTIMIZER, _RANDOM = "network.", "best.", "optimizer.", "random"


@dataclass
class FitState:
    """values: validation after each epoch. best_state: weights of best_epoch (from 1; 0: no epoch has settled)."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: CosineAnnealingLR
    best_state: dict[str, Tensor]
    best_value: float = math.inf
    best_epoch: int = 0
    values: list[float] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.values)

    def consider(self, value: float) -> None:
        """Keeps the network as it is now where value is the best so far."""
        if value < self.best_value:
            self.best_state, self.best_value = copy.deepcopy(self.network.state_dict()), value
            self.best_epoch = self.epoch

    def snapshot(self) -> Snapshot:
        """To the bit what `restore` brings back, torch's random numbers included."""
        optimizer = self.optimizer.state_dict()
        moments = {
            f"{_OPTIMIZER}{index}.{name}": value
            for index, entry in optimizer["state"].items()
            for name, value in entry.items()
        }
        return Snapshot(
            tensors={
                **{f"{_NETWORK}{name}": value for name, value in self.network.state_dict().items()},
                **{f"{_BEST}{name}": value for name, value in self.best_state.items()},
                **moments,
                _RANDOM: torch.get_rng_state(),
            },
            facts={
                "groups": optimizer["param_groups"],
                "schedule": self.schedule.state_dict(),
                "best_value": self.best_value,
                "best_epoch": self.best_epoch,
                "values": self.values,
            },
        )

    def restore(self, snapshot: Snapshot) -> None:
        tensors, facts = snapshot.tensors, snapshot.facts
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, _OPTIMIZER).items():
            index, part = name.split(".")
            moments.setdefault(int(index), {})[part] = value
        self.network.load_state_dict(_under(tensors, _NETWORK))
        self.optimizer.load_state_dict({"state": moments, "param_groups": facts["groups"]})
        self.schedule.load_state_dict(dict(facts["schedule"]))
        self.best_state = _under(tensors, _BEST)
        self.best_value, self.best_epoch = facts["best_value"], facts["best_epoch"]
        self.values = list(facts["values"])
        torch.set_rng_state(tensors[_RANDOM])


def beginning(network: nn.Module, learning_rate: float, steps: int) -> FitState:
    """Adam whose learning rate falls to 0 over `steps` (half a cosine)."""
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    schedule = CosineAnnealingLR(optimizer, T_max=max(1, steps))
    return FitState(network, optimizer, schedule, copy.deepcopy(network.state_dict()))


def _under(tensors: Any, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
