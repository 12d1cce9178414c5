"""One exported bundle for all backend tests; it has random weights and every layer kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.untrained_bundle import export_untrained


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def untrained_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: copy it to damage it."""
    return export_untrained(tmp_path_factory.mktemp("store") / "shapes" / "1")
