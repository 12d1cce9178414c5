"""Arrays out of a data set's file, checked: what is missing, truncated or of another shape is DataSetInvalid."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from explaind.errors import DataSetInvalid
from explaind.training.datasets.image_set import ByteArray, ImageSet

_CHUNK = 4096  # images read at once


def read_arrays(path: Path, keys: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    """The named arrays of an .npz file, whole. Raises DataSetInvalid; so do all functions here."""
    with naming_damage(path), path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {key: archive[key] for key in keys}


def read_kind(path: Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of one array, without reading it."""
    with naming_damage(path), zipfile.ZipFile(path) as archive, _member(archive, key) as stream:
        return _header(stream)


def read_rows(path: Path, key: str, rows: NDArray[np.int64]) -> ByteArray:
    """Rows, given rising, of a uint8 array that is too large to be held whole."""
    with naming_damage(path), zipfile.ZipFile(path) as archive, _member(archive, key) as stream:
        shape, _ = _header(stream)
        parts = [np.zeros((0, *shape[1:]), np.uint8)]
        for start in range(0, shape[0], _CHUNK):
            block = _block(stream, (min(_CHUNK, shape[0] - start), *shape[1:]))
            parts.append(block[rows[(rows >= start) & (rows < start + len(block))] - start])
        return np.concatenate(parts)


def image_set(path: Path, images: NDArray[np.generic], labels: NDArray[np.generic], shape: tuple[int, ...]) -> ImageSet:
    """images: uint8 (N, H, W) or (N, H, W, C), labels: (N,). shape: the (H, W[, C]) that they must have."""
    require_bytes(path, images, shape)
    if labels.shape != images.shape[:1] or not len(images):
        raise damaged(path, f"it has {len(images)} images and {labels.size} labels")
    if not np.issubdtype(labels.dtype, np.integer):
        raise damaged(path, f"its labels are {labels.dtype}, not whole numbers")
    return ImageSet(channels_first(images.astype(np.uint8)), labels.astype(np.int64))


def require_bytes(path: Path, images: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    """Raises DataSetInvalid where images are not uint8 (N, *shape)."""
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise damaged(path, f"its images are {images.dtype} of shape {images.shape}, not uint8 (N, {wanted})")


def channels_first(images: ByteArray) -> ByteArray:
    """(N, H, W) or (N, H, W, C) → (N, C, H, W)."""
    channels_last = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2))


def damaged(path: Path, problem: str) -> DataSetInvalid:
    """The error that a file is not what it should be."""
    return DataSetInvalid(
        f"The data set {path} is damaged: {problem}. Replace it with a whole copy.", metadata={"path": str(path)}
    )


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Whatever NumPy, zip and zlib raise about a file, as DataSetInvalid."""
    try:
        yield
    except FileNotFoundError as exc:
        raise DataSetInvalid(
            f"There is no data set {path}; set EXPLAIND_DATA to the folder that has {path.name}.",
            metadata={"path": str(path)},
        ) from exc
    except KeyError as exc:
        raise damaged(path, f"it has no array {exc.args[0]}") from exc
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise damaged(path, str(exc)) from exc


def _member(archive: zipfile.ZipFile, key: str) -> IO[bytes]:
    if f"{key}.npy" not in archive.namelist():
        raise KeyError(key)
    return archive.open(f"{key}.npy")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an .npy stream, which then stands at its first value."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(stream)
    if by_columns:
        raise ValueError("its values lie by columns")
    return shape, dtype


def _block(stream: IO[bytes], shape: tuple[int, ...]) -> ByteArray:
    data = stream.read(int(np.prod(shape)))
    return np.frombuffer(data, np.uint8).reshape(shape)  # too few bytes are a ValueError
