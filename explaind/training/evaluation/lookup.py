"""A figure in an evaluation by its dotted path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def figure_at(content: object, path: str) -> Any:
    """Keys of mappings and places of lists, as in `anomaly.mahalanobis.false_alarm_interval.0`; None where there is
    no such figure. Keys may hold spaces, but no dots."""
    value: Any = content
    for key in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
