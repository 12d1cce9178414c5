"""Where an evaluation leaves its figures, and a figure by its dotted path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "evaluation.json"
"""Beside the recipe."""
RESULTS = Path("docs/results")
"""A folder a bundle or study, with README.md and its pictures."""


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
