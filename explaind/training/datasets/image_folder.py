"""A folder of one folder a class, looked at without reading a pixel: which files, of which class, in which part.

`<folder>/<class>/…`, or `<folder>/train/<class>/…` with `<folder>/test/<class>/…` where someone has divided them
already. Images are the files whose names end in .png, .jpg, .jpeg or .webp, at any depth; hidden files and folders
are not looked at, other files are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from explaind.errors import DataSetInvalid

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
LEAST_IMAGES = 10
"""Images a class needs: fewer would leave it out of a part of the division, and statistics of it mean nothing."""


@dataclass(frozen=True, slots=True)
class ImageTree:
    """classes: in the order of the classifier's outputs. train, test: (file, class index), sorted; test empty where
    the folder is not divided. others: files that are no images by their names."""

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...]
    others: int

    def __len__(self) -> int:
        return len(self.train) + len(self.test)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for path, _ in (*self.train, *self.test))


def look_at(folder: Path, classes: Sequence[str] | None = None) -> ImageTree:
    """classes: names of the folders in the order of the outputs; None: sorted by name.

    Raises DataSetInvalid: no such folder, fewer than two classes, a class that is empty, too small, missing or not
    named.
    """
    if not folder.is_dir():
        raise _invalid(folder, f"There is no folder {folder}; name one that has a folder of images for each class.")
    divided = _folders(folder) == ["test", "train"]
    parts = (folder / "train", folder / "test") if divided else (folder,)
    names = tuple(classes) if classes is not None else tuple(_folders(parts[0]))
    if len(names) < 2:
        raise _invalid(
            folder,
            f"{parts[0]} has {len(names)} folder{'s' if len(names) != 1 else ''} of images, at least two classes are "
            "needed: put the images of each class into a folder of its own.",
        )
    found = [_part(part, names) for part in parts]
    others = sum(1 for part in parts for path in _visible(part) if path.suffix.lower() not in SUFFIXES)
    return ImageTree(names, found[0], found[1] if divided else (), others)


def _part(folder: Path, names: tuple[str, ...]) -> tuple[tuple[Path, int], ...]:
    unnamed = sorted(set(_folders(folder)) - set(names))
    if unnamed:
        raise _invalid(
            folder,
            f"{folder} has the folder {unnamed[0]}, which is none of the classes named: name it or move it away.",
        )
    files: list[tuple[Path, int]] = []
    for index, name in enumerate(names):
        own = _images(folder / name)
        if len(own) < LEAST_IMAGES:
            count = f"has {len(own)} images" if own else "is empty"
            if not (folder / name).is_dir():
                count = "does not exist"
            raise _invalid(
                folder,
                f"The class {name!r}: {folder / name} {count}, at least {LEAST_IMAGES} PNG, JPEG or WebP files are "
                "needed: add images, or leave the class out of the names and of the classifier.",
            )
        files += [(path, index) for path in own]
    return tuple(files)


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.suffix.lower() in SUFFIXES] if folder.is_dir() else []


def _visible(folder: Path) -> list[Path]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in paths if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def _invalid(folder: Path, sentence: str) -> DataSetInvalid:
    return DataSetInvalid(sentence, metadata={"path": str(folder)})
