"""A model store with the demo bundle alone: what else somebody has trained here is neither loaded nor tested."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

_BUNDLE = Path(__file__).parents[1] / "model_store/mnist"


def _copied() -> Path:
    assert (_BUNDLE / "1/manifest.json").is_file(), "build the demo bundle: explaind train model_store/mnist"
    store = Path(tempfile.mkdtemp(prefix="explaind-demo-store-"))
    atexit.register(shutil.rmtree, store, ignore_errors=True)
    shutil.copytree(_BUNDLE, store / "mnist")
    return store


STORE = _copied()
"""Tests must not change it."""
