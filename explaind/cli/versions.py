"""Which built versions a model folder holds."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from explaind.errors import BundleInvalid

MANIFEST = "manifest.json"


def highest_version(model: Path) -> str:
    """The last version, numbers by value. Raises BundleInvalid where none is built."""
    found = [path.parent.name for path in model.glob(f"*/{MANIFEST}")]
    if not found:
        raise BundleInvalid(f"{model} holds no built version; build one with `explaind train {model}`.")
    return max(found, key=lambda name: (name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def default_bundles(model_store: Path, names: Collection[str] = ()) -> list[Path]:
    """The folder of the highest version of every model, or of those named. Raises BundleInvalid where there is none at
    all."""
    built = {path.parent.parent for path in model_store.glob(f"*/*/{MANIFEST}")}
    models = sorted(model for model in built if not names or model.name in names)
    if not models:
        raise BundleInvalid(
            f"{model_store} holds no bundle; build one with `explaind train` or name another with --model-store."
        )
    return [model / highest_version(model) for model in models]
