"""The set `folder`: whoever's images, decoded exactly as the service decodes what callers send.

Images of other sizes are stretched to the recipe's shape, antialiased; grey ones repeated or colours made grey as the
recipe's channels ask. A file that cannot be read fails the whole, by name, unless the recipe says skip_unreadable.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from explaind.errors import DataSetInvalid, InvalidRequest
from explaind.images import ImageLimits, prepare
from explaind.requests import ImageInput
from explaind.training.data_recipe import DataRecipe
from explaind.training.datasets.image_folder import ImageTree, look_at
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray
from explaind.training.layer_tables import ImageShape

TEST_SHARE = 0.3
LIMITS = ImageLimits(max_bytes=64 * 1024 * 1024, max_pixels=50_000_000)
_log = logging.getLogger(__name__)

Files = tuple[tuple[Path, int], ...]


def folder_parts(recipe: DataRecipe) -> tuple[ImageSet, ImageSet]:
    """Training and test set; a folder that is not divided gives three tenths of each class, at random, to the latter.

    Raises DataSetInvalid.
    """
    assert recipe.path is not None and recipe.image_shape is not None
    tree = look_at(Path(recipe.path), recipe.classes)
    train, test = divided(tree, recipe.split_seed, recipe.sample)
    read = [_read(files, recipe.image_shape, skip=recipe.skip_unreadable) for files in (train, test)]
    return read[0], read[1]


def divided(tree: ImageTree, seed: int, sample: int | None = None) -> tuple[Files, Files]:
    """Training and test files, of each class the same share. sample: so many in all, drawn evenly from the classes."""
    generator = np.random.default_rng(seed)
    share = 1.0 if sample is None else min(1.0, sample / len(tree))
    train, test = _sampled(tree.train, share, generator), _sampled(tree.test, share, generator)
    if test:
        return train, test
    kept = _chosen(train, TEST_SHARE, generator)
    return tuple(f for f in train if f not in kept), tuple(f for f in train if f in kept)


def _sampled(files: Files, share: float, generator: np.random.Generator) -> Files:
    if share == 1.0:
        return files
    kept = _chosen(files, share, generator)
    return tuple(file for file in files if file in kept)


def _chosen(files: Files, share: float, generator: np.random.Generator) -> frozenset[tuple[Path, int]]:
    """That share of each class, at least one image."""
    chosen: set[tuple[Path, int]] = set()
    for label in sorted({label for _, label in files}):
        own = [file for file in files if file[1] == label]
        order = generator.permutation(len(own))[: max(1, round(share * len(own)))]
        chosen |= {own[int(index)] for index in order}
    return frozenset(chosen)


def _read(files: Files, shape: ImageShape, *, skip: bool) -> ImageSet:
    images: list[ByteArray] = []
    labels: list[int] = []
    for path, label in files:
        try:
            images.append(read_image(path, shape))
            labels.append(label)
        except DataSetInvalid as error:
            if not skip:
                raise
            _log.warning("left out: %s", error.message)
    found: LabelArray = np.array(labels, np.int64)
    return ImageSet(np.stack(images) if images else np.zeros((0, *shape), np.uint8), found)


def read_image(path: Path, shape: ImageShape) -> ByteArray:
    """(C, H, W) as uint8. Raises DataSetInvalid naming the file and what is wrong with it."""
    try:
        image = prepare(ImageInput(encoded=path.read_bytes(), resize=True, field=path.name), shape, LIMITS)
    except OSError as error:
        raise DataSetInvalid(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    except InvalidRequest as error:
        raise DataSetInvalid(
            f"{path} is no image that can be used: {error.message.rstrip('.')}. Mend or remove the file, or leave "
            "such files out: --skip-unreadable of `explaind new`, skip_unreadable = true in the recipe's [data].",
            metadata={"path": str(path)},
        ) from error
    return np.rint(image * 255).astype(np.uint8)
