from __future__ import annotations

import pytest

from explaind.training.evaluation.lookup import figure_at

CONTENT = {"a": {"b c": [0.1, {"d": 5}], "text": "x"}, "zero": 0}


@pytest.mark.parametrize(
    ("path", "found"),
    [("a.b c.0", 0.1), ("a.b c.1.d", 5), ("zero", 0), ("a.text", "x"), ("a.b c.2", None), ("a.b c.-1", None),
     ("a.missing", None), ("a.text.0", None), ("zero.x", None), ("", None)],
)  # fmt: skip
def test_paths_lead_to_figures_or_nowhere(path: str, found: object) -> None:
    assert figure_at(CONTENT, path) == found
