"""Enums by name: `Solver.FAST` is `SOLVER_FAST`, both ways. Numbers never meet."""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import Any, TypeVar

from explaind.errors import ParameterOutOfRange
from explaind.explanations.latent_types import Hold
from explaind.explanations.types import (
    Detector,
    ImportanceMeasure,
    Interpolation,
    LabelConfidence,
    PathMaskOutcome,
    RankingMethod,
    RankingScope,
    Solver,
)
from explaind.v1 import explanation_pb2

EnumT = TypeVar("EnumT", bound=StrEnum)
DefaultT = TypeVar("DefaultT")

# Any: the generated wrappers have Name, Value and keys, but each its own type.
PROTO_ENUMS: dict[type[StrEnum], Any] = {
    Solver: explanation_pb2.Solver,
    RankingMethod: explanation_pb2.RankingMethod,
    RankingScope: explanation_pb2.RankingScope,
    Interpolation: explanation_pb2.Interpolation,
    ImportanceMeasure: explanation_pb2.ImportanceMeasure,
    Detector: explanation_pb2.Detector,
    PathMaskOutcome: explanation_pb2.PathMaskOutcome,
    LabelConfidence: explanation_pb2.LabelConfidence,
    Hold: explanation_pb2.Hold,
}


def enum_from_proto(kind: type[EnumT], number: int, *, default: DefaultT, field: str) -> EnumT | DefaultT:
    """The member that `number` stands for; `default` where it is unset (0).

    Raises ParameterOutOfRange naming `field` for a number this version does not know.
    """
    if number == 0:
        return default
    wrapper = PROTO_ENUMS[kind]
    try:
        name = wrapper.Name(number)
    except ValueError:
        known = ", ".join(wrapper.keys()[1:])
        raise ParameterOutOfRange(
            f"{field} is {number}, which is none of {known}; send one of these.", field=field
        ) from None
    return kind(name.removeprefix(prefix(wrapper)).lower())


@functools.cache  # there are some forty members
def enum_to_proto(member: StrEnum | None) -> Any:
    """The proto number of `member`; that of "unspecified" for None."""
    if member is None:
        return 0
    wrapper = PROTO_ENUMS[type(member)]
    return wrapper.Value(prefix(wrapper) + member.name)


def prefix(wrapper: Any) -> str:
    """`SOLVER_` of Solver: every proto enum begins with PREFIX_UNSPECIFIED (buf lint holds that)."""
    unspecified: str = wrapper.Name(0)
    return unspecified.removesuffix("UNSPECIFIED")
