"""reference.npz: the Reference dataclass as plain arrays, one a field, no pickle (DESIGN §5).

Keys are the path of the field: `rankings/ranking/used`, `anomaly/mahalanobis/center`. What is None is left out.
"""

from __future__ import annotations

import dataclasses
import types
import typing
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explaind.errors import BundleInvalid
from explaind.explanations.types import Reference

Arrays = Mapping[str, NDArray[Any]]


def save(path: Path, reference: Reference) -> None:
    """Writes the same bytes for the same statistics: sorted keys, no times."""
    arrays = _flatten(reference, "")
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **{key: arrays[key] for key in sorted(arrays)})


def load(path: Path) -> Reference:
    """Raises BundleInvalid where the file is missing, is no archive of arrays, or lacks a field."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        return typing.cast(Reference, _unflatten(Reference, "", arrays))
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleInvalid(
            f"{path} does not hold the reference statistics ({error}): build the bundle again with `explaind train`."
        ) from error


def _flatten(value: object, key: str) -> dict[str, NDArray[Any]]:
    if value is None:
        return {}
    if dataclasses.is_dataclass(value):
        items = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif isinstance(value, dict):
        items = value
    else:
        return {key: np.asarray(value)}
    prefix = f"{key}/" if key else ""
    return {name: array for part, item in items.items() for name, array in _flatten(item, prefix + part).items()}


def _unflatten(hint: Any, key: str, arrays: Arrays) -> Any:
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        wanted = next(argument for argument in typing.get_args(hint) if argument is not type(None))
        return _unflatten(wanted, key, arrays) if _has(key, arrays) else None
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        prefix = f"{key}/" if key else ""
        return hint(**{field: _unflatten(hints[field], prefix + field, arrays) for field in hints})  # type: ignore[operator]
    if origin is dict:
        parts = sorted({name.split("/")[1] for name in arrays if name.startswith(f"{key}/")})
        return {part: _unflatten(typing.get_args(hint)[1], f"{key}/{part}", arrays) for part in parts}
    return _leaf(hint, key, arrays[key])


def _has(key: str, arrays: Arrays) -> bool:
    return any(name == key or name.startswith(f"{key}/") for name in arrays)


def _leaf(hint: Any, key: str, array: NDArray[Any]) -> Any:
    if hint is float:
        return float(array)
    wanted = _dtype(hint)
    if array.dtype != wanted:
        raise TypeError(f"{key} is {array.dtype}, not {wanted}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{key} is not finite")
    return np.ascontiguousarray(array)


def _dtype(hint: Any) -> np.dtype[Any]:
    """Of NDArray[S], which is ndarray[…, dtype[S]] up to NumPy 2.4 and an alias with the one argument S from 2.5 on."""
    last = typing.get_args(hint)[-1]
    (scalar,) = typing.get_args(last) or (last,)
    dtype: np.dtype[Any] = np.dtype(scalar)
    return dtype
