"""Options of `explain` and `batch` to messages; the names are the proto's own."""

from __future__ import annotations

from typing import Any

import typer

from explaind.v1 import explanation_pb2 as pb


def ranking(method: str, seed: int, *, pictures: bool = False, top_k: int = 0) -> pb.LatentRankingParameters:
    """pictures: responses and traversals too."""
    return pb.LatentRankingParameters(
        method=_number(pb.RankingMethod, "RANKING_METHOD_", method, "--method"),
        seed=_seed(seed),
        top_k=top_k,
        include_responses=pictures,
        include_traversals=pictures,
    )


def anomaly(detector: str, level: float | None, *, pictures: bool = False) -> pb.AnomalyScoreParameters:
    return pb.AnomalyScoreParameters(
        detector=_number(pb.Detector, "DETECTOR_", detector, "--detector"),
        level=level,
        include_reconstruction=pictures,
    )


def path_mask(
    solver: str, seed: int, *, self_class: int | None = None, other_class: int | None = None, pictures: bool = False
) -> pb.PathMaskParameters:
    return pb.PathMaskParameters(
        solver=_number(pb.Solver, "SOLVER_", solver, "--solver"),
        self_class=_class_index(self_class, "--self-class"),
        other_class=_class_index(other_class, "--other-class"),
        seed=_seed(seed),
        include_path=pictures,
    )


def _number(enum: Any, prefix: str, name: str, option: str) -> Any:
    """0, the default, for an empty name."""
    choices = [value.removeprefix(prefix).lower() for value in enum.keys()[1:]]
    if not name:
        return 0
    if name.lower() not in choices:
        raise typer.BadParameter(f"choose one of {', '.join(choices)}", param_hint=option)
    return enum.Value(prefix + name.upper())


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**64:
        raise typer.BadParameter("choose 0 to 2**64 − 1", param_hint="--seed")
    return seed


def _class_index(index: int | None, option: str) -> int | None:
    """Whether the model has such a class is for the daemon to say; a message cannot carry any integer to it."""
    if index is not None and not -(2**31) <= index < 2**31:
        raise typer.BadParameter(f"{index} is no class index; they count from 0", param_hint=option)
    return index
