"""A bundle folder made into a Bundle: verified whole, its promises kept, its latents named."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from explaind.bundles import bundle, labels, manifest
from explaind.errors import BundleInvalid
from explaind.explanations.types import Factor, LabelConfidence, MorphReference, Reference
from tests import small_bundle


def test_the_demo_bundle_loads_and_names_every_latent(store: Path) -> None:
    loaded = bundle.load(store / "mnist/1")
    assert (loaded.name, loaded.version) == ("mnist", "1")
    assert loaded.digest == manifest.digest(store / "mnist/1")
    assert loaded.supports("path_mask")
    for space in loaded.manifest.spaces:
        dimensions = [d for factor in loaded.factors[space.name] for d in factor.dimensions]
        assert sorted(dimensions) == list(range(space.latent_count))


def test_a_bundle_stands_in_the_folder_of_its_name_and_version(tmp_path: Path) -> None:
    folder = small_bundle.write(tmp_path)
    folder.rename(folder.with_name("2"))
    with pytest.raises(BundleInvalid, match=r"says it is small/1"):
        bundle.load(folder.with_name("2"))


@pytest.mark.parametrize("promise", ["latent_ranking", "anomaly_score", "path_mask"])
def test_a_promise_without_statistics_is_refused(tmp_path: Path, promise: manifest.ExplanationName) -> None:
    folder = small_bundle.write(tmp_path, explanations=("prediction", promise))
    with pytest.raises(BundleInvalid, match=r"reference\.npz holds no .*which the manifest promises"):
        bundle.load(folder)


def test_statistics_of_another_classifier_are_refused(tmp_path: Path) -> None:
    other = Reference(rankings={}, anomaly=None, morph=MorphReference(class_norms=np.ones(7), likelihood_weight=0.1))
    with pytest.raises(BundleInvalid, match="another number of classes than 2"):
        bundle.load(small_bundle.write(tmp_path, statistics=other))


def _labelled(store: Path, encoder: str) -> None:
    slant = Factor(dimensions=(1,), label="slant", confidence=LabelConfidence.HIGH)
    text = labels.format_labels({"codes": labels.SpaceLabels(encoder, (slant,))})
    (store / "small" / labels.FILE_NAME).write_text(text)


def test_labels_are_read_from_beside_the_versions(tmp_path: Path) -> None:
    folder = small_bundle.write(tmp_path)
    _labelled(tmp_path, manifest.read(folder).spaces[0].encoder_digest)
    assert [factor.label for factor in bundle.load(folder).factors["codes"]] == ["z0", "slant", "z2"]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """What the module says, whatever an earlier test of this process has configured and loggers have kept of it."""
    before = structlog.get_config()
    structlog.reset_defaults()
    monkeypatch.setattr(bundle, "log", structlog.get_logger())
    with capture_logs() as captured:
        yield captured
    structlog.configure(**before)


def test_a_retrained_encoder_is_unlabelled_with_a_warning(tmp_path: Path, logs: list[MutableMapping[str, Any]]) -> None:
    folder = small_bundle.write(tmp_path)
    _labelled(tmp_path, manifest.read(folder).spaces[0].encoder_digest)
    small_bundle.write(tmp_path, seed=1)
    factors = bundle.load(folder).factors["codes"]
    assert [factor.label for factor in factors] == ["z0", "z1", "z2"]
    assert [(entry["log_level"], entry["latent_space"]) for entry in logs] == [("warning", "codes")]
    assert "another encoder" in logs[0]["why"]


def test_damaged_labels_cost_the_names_only(tmp_path: Path, logs: list[MutableMapping[str, Any]]) -> None:
    folder = small_bundle.write(tmp_path)
    (tmp_path / "small" / labels.FILE_NAME).write_text("[codes")
    assert bundle.load(folder).factors["codes"][0].label == "z0"
    assert "labels.toml" in logs[0]["why"]
