"""Real images for training and evaluation: NumPy archives, or torchvision's downloads where there is no archive."""

from explaind.training.data_sets import DATA_SETS
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray, Splits, as_floats
from explaind.training.datasets.letters import Letters, load_letters, split_families
from explaind.training.datasets.loading import load_images, load_splits
from explaind.training.datasets.sprites import Sprites, load_sprites

__all__ = [
    "DATA_SETS",
    "ByteArray",
    "ImageSet",
    "LabelArray",
    "Letters",
    "Splits",
    "Sprites",
    "as_floats",
    "load_images",
    "load_letters",
    "load_splits",
    "load_sprites",
    "split_families",
]
