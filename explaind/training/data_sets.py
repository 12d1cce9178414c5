"""The data sets a recipe may name: what their images and classes are. No pixels here; `datasets` reads those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from explaind.training.layer_tables import ImageShape


@dataclass(frozen=True, slots=True)
class DataSet:
    """class_names: empty for a set that is only good as outliers. sampled: the recipe says how many images. factors:
    the continuous ones that every image was drawn from, where it is known by which values; else empty."""

    image_shape: ImageShape
    class_names: tuple[str, ...]
    sampled: bool = False
    factors: tuple[str, ...] = ()


_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
PLANTED_FACTORS = ("x", "y", "scale", "shape", "mark")
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

DATA_SETS: Mapping[str, DataSet] = {
    "mnist": DataSet((1, 28, 28), tuple(str(digit) for digit in range(10))),
    "fashion_mnist": DataSet((1, 28, 28), _CLOTHES),
    "letters": DataSet((1, 28, 28), tuple("ABCDEFGHIJ")),
    "cifar10": DataSet((3, 32, 32), _OBJECTS),
    "dsprites": DataSet((1, 64, 64), ("square", "ellipse", "heart"), sampled=True),
    "faces": DataSet((1, 32, 32), ("lit from the right", "lit from the left")),
    "nonfaces": DataSet((1, 32, 32), ()),
    "pedestrians": DataSet((3, 128, 64), ("dark torso", "bright torso")),
    "planted_x": DataSet((1, 32, 32), ("left", "right"), sampled=True, factors=PLANTED_FACTORS),
    "planted_shape": DataSet((1, 32, 32), ("cross", "square"), sampled=True, factors=PLANTED_FACTORS),
    "planted_mark": DataSet((1, 32, 32), ("faint mark", "bright mark"), sampled=True, factors=PLANTED_FACTORS),
}
CLASSIFIED = tuple(name for name, data_set in DATA_SETS.items() if data_set.class_names)
"""What a bundle can be trained on."""
FOLDER = "folder"
"""The set of whoever brings images: a folder of one folder a class. The recipe says its shape and classes."""
