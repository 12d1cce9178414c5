"""docs/calling.md lists every error with its code, and every column of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from explaind.errors import ConfigurationError, ExplaindError, Unavailable
from explaind.service.status import CODES
from explaind_client.batch_rows import schema

PAGE = (Path(__file__).parents[1] / "docs/calling.md").read_text(encoding="utf-8")


def _kinds(base: type[ExplaindError]) -> Iterator[type[ExplaindError]]:
    for kind in base.__subclasses__():
        yield kind
        if kind is not ConfigurationError:  # its kinds share a row
            yield from _kinds(kind)


def _code(kind: type[ExplaindError]) -> str:
    return next(CODES[ancestor].name for ancestor in kind.__mro__ if ancestor in CODES)  # type: ignore[index]


def test_every_error_has_a_row_with_its_code() -> None:
    kinds = [kind for kind in _kinds(ExplaindError) if kind is not Unavailable and kind.__module__ == "explaind.errors"]
    missing = [kind.reason for kind in kinds if f"| `{_code(kind)}` | `{kind.reason}`" not in PAGE]
    assert len(kinds) >= 15 and not missing


def test_every_column_of_a_batch_is_explained() -> None:
    columns = schema(["a"], ranking=True, mask=True).names
    missing = [name for name in columns if f"`{name}`" not in PAGE]
    assert len(columns) > 30 and not missing
