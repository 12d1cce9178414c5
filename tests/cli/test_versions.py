"""Which folders `explaind serve --torchserve` gives to TorchServe."""

from __future__ import annotations

from pathlib import Path

import pytest

from explaind.cli.versions import MANIFEST, default_bundles
from explaind.errors import BundleInvalid


def _built(store: Path, *versions: str) -> None:
    for version in versions:
        (store / version).mkdir(parents=True)
        (store / version / MANIFEST).touch()


def test_the_highest_version_of_every_model_or_of_those_named(tmp_path: Path) -> None:
    _built(tmp_path, "small/2", "small/10", "other/1")
    assert default_bundles(tmp_path) == [tmp_path / "other/1", tmp_path / "small/10"]
    assert default_bundles(tmp_path, ["small"]) == [tmp_path / "small/10"]
    with pytest.raises(BundleInvalid, match="holds no bundle"):
        default_bundles(tmp_path, ["absent"])
