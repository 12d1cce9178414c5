"""The whole evaluation of a bundle, section by section, and the file it is written to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from explaind.bundles import manifest as manifests
from explaind.errors import ConfigurationError
from explaind.training.evaluation.agreement import evaluate_backends
from explaind.training.evaluation.anomalies import evaluate_anomalies
from explaind.training.evaluation.bars import judge_all
from explaind.training.evaluation.classification import evaluate_classification
from explaind.training.evaluation.extent import QUICK, Extent
from explaind.training.evaluation.masks import evaluate_masks
from explaind.training.evaluation.morphs import evaluate_morphs
from explaind.training.evaluation.subject import Subject, open_subject

__all__ = ["FILE_NAME", "QUICK", "Extent", "evaluate"]

FILE_NAME = "evaluation.json"


def evaluate(
    bundle: Path,
    *,
    data: Path = Path("../shared/data"),
    runs: Path = Path("training_runs"),
    extent: Extent | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Mapping[str, object]:
    """bundle: the folder with recipe.toml. Writes evaluation.json beside it and returns its content.

    runs: where the judge's network is. report: called with a line before and after each section.
    Raises BundleInvalid, RecipeInvalid, DataSetInvalid, ConfigurationError where the file cannot be written.
    """
    extent = extent or Extent()
    subject = open_subject(bundle, data)
    sections: Mapping[str, Callable[[Subject], Mapping[str, object]]] = {
        "classification": evaluate_classification,
        "anomaly": evaluate_anomalies,
        "morphing": lambda s: evaluate_morphs(s, runs, extent.images, extent.reference_morphs),
        "path_mask": lambda s: evaluate_masks(s, extent.images, extent.reference_masks),
        "backends": lambda s: evaluate_backends(s, extent.backend_images, with_torchserve=extent.torchserve),
    }
    evaluation: dict[str, object] = {
        "bundle": subject.manifest.name,
        "version": subject.manifest.version,
        "bundle_digest": manifests.digest(subject.folder),
    }
    for name, section in sections.items():
        report(f"{name} …")
        start = time.perf_counter()
        evaluation[name] = section(subject)
        report(f"{name}: done in {time.perf_counter() - start:.0f} s")
    evaluation["bars"] = judge_all(evaluation)
    _write(bundle / FILE_NAME, evaluation)
    return evaluation


def _write(path: Path, evaluation: Mapping[str, object]) -> None:
    temporary = path.with_suffix(".partial")
    try:
        temporary.write_text(json.dumps(_rounded(evaluation), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); check the folder's rights.") from error


def _rounded(value: object) -> object:
    """Floats to six significant digits: what is measured here is not more certain."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
