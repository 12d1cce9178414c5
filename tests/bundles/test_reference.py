"""reference.npz: what is saved is loaded, the same to the byte, and nothing else is accepted."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.bundles import reference
from explaind.errors import BundleInvalid
from explaind.explanations.types import (
    AnomalyReference,
    ForestArrays,
    LogisticFit,
    MahalanobisFit,
    MorphReference,
    RankingReference,
    Reference,
)

LATENTS, CLASSES, FEATURES = 3, 4, 6


def _fit(random: np.random.Generator) -> MahalanobisFit:
    return MahalanobisFit(
        center=random.normal(size=FEATURES),
        scale=random.uniform(1, 2, FEATURES),
        precision=np.eye(FEATURES),
        calibration=np.sort(random.normal(size=20)),
    )


def _forest() -> ForestArrays:
    return ForestArrays(
        offsets=np.array([0, 3], np.int32),
        left=np.array([1, -1, -1], np.int32),
        right=np.array([2, -1, -1], np.int32),
        feature=np.array([0, -2, -2], np.int32),
        threshold=np.array([0.5, 0, 0]),
        value=np.full((3, CLASSES), 0.25, np.float32),
        cover=np.array([10, 6, 4], np.float32),
    )


def _ranking(random: np.random.Generator, forest: ForestArrays | None) -> RankingReference:
    return RankingReference(
        used=np.array([True, False, True]),
        mean_kl=random.uniform(size=LATENTS),
        visible_effect=random.uniform(size=LATENTS),
        mean=random.normal(size=LATENTS),
        deviation=random.uniform(size=LATENTS),
        bin_counts=np.ones((LATENTS, 13), np.int32),
        bin_probability=random.uniform(size=(LATENTS, 13, CLASSES)).astype(np.float32),
        bin_logit=random.normal(size=(LATENTS, 13, CLASSES)).astype(np.float32),
        mean_probability=random.uniform(size=CLASSES),
        mean_logit=random.normal(size=CLASSES),
        generated_probability=random.uniform(size=(LATENTS, 10, CLASSES)).astype(np.float32),
        generated_logit=random.normal(size=(LATENTS, 10, CLASSES)).astype(np.float32),
        impurity=random.uniform(size=LATENTS),
        permutation=random.uniform(size=LATENTS),
        sobol_total=random.uniform(size=(CLASSES, LATENTS)),
        forest=forest,
        forest_fidelity=0.93,
    )


def _whole() -> Reference:
    random = np.random.default_rng(0)
    logistic = LogisticFit(
        center=random.normal(size=FEATURES),
        scale=random.uniform(1, 2, FEATURES),
        weights=random.normal(size=FEATURES),
        intercept=-1.5,
        calibration=np.sort(random.normal(size=20)),
    )
    return Reference(
        rankings={"ranking": _ranking(random, _forest()), "morphing": _ranking(random, None)},
        anomaly=AnomalyReference(mahalanobis=_fit(random), logistic=logistic, rebuilt=_fit(random)),
        morph=MorphReference(class_norms=random.uniform(size=CLASSES), likelihood_weight=0.1, sparsity=2.5),
    )


def _assert_same(ours: object, theirs: object) -> None:
    if isinstance(ours, np.ndarray):
        assert isinstance(theirs, np.ndarray)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    elif dataclasses.is_dataclass(ours):
        for field in dataclasses.fields(ours):
            _assert_same(getattr(ours, field.name), getattr(theirs, field.name))
    elif isinstance(ours, dict):
        assert isinstance(theirs, dict)
        assert ours.keys() == theirs.keys()
        for key in ours:
            _assert_same(ours[key], theirs[key])
    else:
        assert ours == theirs


def test_everything_comes_back(tmp_path: Path) -> None:
    reference.save(tmp_path / "reference.npz", _whole())
    _assert_same(_whole(), reference.load(tmp_path / "reference.npz"))


def test_a_bundle_with_forward_graphs_only_has_an_empty_reference(tmp_path: Path) -> None:
    empty = Reference(rankings={}, anomaly=None, morph=None)
    reference.save(tmp_path / "reference.npz", empty)
    assert reference.load(tmp_path / "reference.npz") == empty


def test_same_statistics_same_bytes(tmp_path: Path) -> None:
    reference.save(tmp_path / "a.npz", _whole())
    reference.save(tmp_path / "b.npz", _whole())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("keep", [0, 10, 1000])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "reference.npz"
    reference.save(path, _whole())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleInvalid, match=r"reference\.npz.*explaind train"):
        reference.load(path)


def _resaved(path: Path, **changes: np.ndarray | None) -> Path:
    reference.save(path, _whole())
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays |= {key.replace("__", "/"): value for key, value in changes.items() if value is not None}
    missing = {key.replace("__", "/") for key, value in changes.items() if value is None}
    np.savez(path, **{key: value for key, value in arrays.items() if key not in missing})
    return path


def test_a_missing_field_a_wrong_type_and_nan_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    with pytest.raises(BundleInvalid, match="anomaly/mahalanobis/scale"):
        reference.load(_resaved(path, anomaly__mahalanobis__scale=None))
    with pytest.raises(BundleInvalid, match="morph/class_norms is float32"):
        reference.load(_resaved(path, morph__class_norms=np.zeros(CLASSES, np.float32)))
    with pytest.raises(BundleInvalid, match="morph/class_norms is not finite"):
        reference.load(_resaved(path, morph__class_norms=np.full(CLASSES, np.nan)))


def test_statistics_from_before_recipes_could_set_a_sparsity_still_load(tmp_path: Path) -> None:
    """The demo bundle's, for one."""
    older = reference.load(_resaved(tmp_path / "reference.npz", morph__sparsity=None)).morph
    assert older is not None
    assert older.sparsity is None
    assert older.likelihood_weight == 0.1


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = _resaved(tmp_path / "reference.npz", morph__class_norms=np.array([print], dtype=object))
    with pytest.raises(BundleInvalid):
        reference.load(path)


@pytest.mark.parametrize("hint", [NDArray[np.int32], types.GenericAlias(np.ndarray, (np.int32,))])
def test_an_arrays_type_is_read_from_its_hint_as_numpy_2_4_and_2_5_write_it(hint: Any) -> None:
    assert reference._leaf(hint, "bins", np.zeros(3, np.int32)).dtype == np.int32
    with pytest.raises(TypeError, match="bins is float64, not int32"):
        reference._leaf(hint, "bins", np.zeros(3))
