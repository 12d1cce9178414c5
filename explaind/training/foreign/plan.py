"""What `explaind new` decides from a classifier's file and a folder of images: sizes and divisions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from explaind.errors import ClassifierInvalid, DataSetInvalid
from explaind.training.datasets.folder import divided
from explaind.training.datasets.image_folder import ImageTree
from explaind.training.fitted_architectures import fitting_shape
from explaind.training.foreign.preparation import Preparation
from explaind.training.foreign.program import Program

USUAL_SIDE = 64
"""Pixels of the longer side that explanations are computed at, where images are larger and no size is asked for: a VAE
for 224 × 224 pixels has twelve times the pixels to fit, too many for a CPU, and is blurred all the same."""
LEAST_CALIBRATION = 19
"""With n calibration images the least p-value is 1/(n + 1): fewer could not call anything anomalous at 0.05."""
QUICK_IMAGES = 2000
SPLIT_SEED = 1
_LOOKED_AT = 2000  # files whose size is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What `explaind new` was told. size: (H, W) of explanation images; input_size: of the classifier's input; None:
    found out. epochs, sample: None: chosen."""

    name: str
    images: Path
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    input_size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    skip_unreadable: bool = False
    epochs: int | None = None
    sample: int | None = None
    seed: int = 0
    quick: bool = False

    @property
    def most_images(self) -> int | None:
        return min(self.sample or QUICK_IMAGES, QUICK_IMAGES) if self.quick else self.sample


@dataclass(frozen=True, slots=True)
class Sizes:
    """common: the commonest size of the files (H, W); mixed: there are others."""

    common: tuple[int, int]
    mixed: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """Images of each part."""

    train: int
    validation: int
    calibration: int
    evaluation: int


def sizes_of(tree: ImageTree) -> Sizes:
    """Of up to 2,000 files, evenly taken. Raises DataSetInvalid where none can be read."""
    files = tree.files[:: max(1, len(tree) // _LOOKED_AT)]
    found = Counter(size for path in files if (size := _size(path)) is not None)
    if not found:
        raise DataSetInvalid(f"None of the images can be read; {files[0]} is the first of them.")
    return Sizes(found.most_common(1)[0][0], len(found) > 1)


def _size(path: Path) -> tuple[int, int] | None:
    """(H, W) from the header; None for a file that will be refused when it is read."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError):
        return None


def preparation(program: Program, sizes: Sizes, wishes: Wishes) -> Preparation:
    """Raises ClassifierInvalid where nobody says which size it takes, DataSetInvalid for images too small."""
    sides = wishes.input_size or (program.height, program.width)
    if wishes.input_size and any(
        own not in (None, asked) for own, asked in zip((program.height, program.width), sides, strict=True)
    ):
        raise ClassifierInvalid(
            f"The classifier takes {program.height}×{program.width} images, --input-size says {sides[0]}×{sides[1]}: "
            "leave the option out."
        )
    height, width = sides
    if height is None or width is None:
        raise ClassifierInvalid(
            "The classifier takes images of any size: say with --input-size which it was trained on, as in 224."
        )
    shape = wishes.size or _reduced(sizes.common)
    try:
        fitted = fitting_shape(*shape)
    except ValueError as exc:
        raise DataSetInvalid(f"The {exc}; name a larger one with --size, to which images are stretched.") from exc
    channels = program.channels
    for name, values in (("--mean", wishes.mean), ("--deviation", wishes.deviation)):
        if len(values) not in (1, channels):
            raise ClassifierInvalid(f"{name} has {len(values)} numbers, the classifier {channels} channels.")
    return Preparation(
        image_shape=(channels, *fitted),
        input_shape=(channels, height, width),
        mean=wishes.mean,
        deviation=wishes.deviation,
    )


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    """In its proportions, the longer side at most USUAL_SIDE."""
    factor = min(1.0, USUAL_SIDE / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def counts(tree: ImageTree, sample: int | None) -> Counts:
    """Raises DataSetInvalid where calibration would have too few images."""
    train, test = divided(tree, SPLIT_SEED, sample)
    validation = min(2000, max(LEAST_CALIBRATION, round(0.15 * len(train))))
    calibration = min(5000, round(0.6 * len(test)))
    if calibration < LEAST_CALIBRATION or len(train) - validation < LEAST_CALIBRATION:
        used = len(train) + len(test)
        raise DataSetInvalid(
            f"{used} images are too few: {max(0, calibration)} would be left to calibrate p-values on, and at least "
            f"{LEAST_CALIBRATION} are needed for a level of 0.05. Bring 110 images or more, better thousands."
        )
    return Counts(len(train) - validation, validation, calibration, len(test) - calibration)
