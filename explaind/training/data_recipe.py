"""The recipe's section [data]: which images, and how they are divided."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from explaind.training.data_sets import CLASSIFIED, DATA_SETS, FOLDER, DataSet
from explaind.training.recipe_errors import misfit, one_of
from explaind.training.recipe_section import Positive, Section

_OF_A_FOLDER = ("path", "classes", "image_shape")


class DataRecipe(Section):
    """validation: images of the training set kept back to stop on. calibration: images of the test set for
    p-values; too few make small p-values impossible (the least is 1/(n + 1)); what is left is for evaluation.
    sample: images drawn from a set that is too large to be used whole, a part of them for the test set.
    images: of the training set, at most so many drawn from it to fit on; unset: all.

    Of the set `folder` alone: path: its folder of one folder a class. classes: the names of those folders, in the
    order of the classifier's outputs. image_shape: (C, H, W) that images are brought to. skip_unreadable: leave out
    files that cannot be read instead of failing.
    """

    LATER = frozenset({"sample", "images", "path", "classes", "image_shape", "skip_unreadable"})

    set: str
    validation: Positive = 5000
    calibration: Positive = 5000
    split_seed: int = 1
    sample: Positive | None = None
    images: Positive | None = None
    path: str | None = None
    classes: Annotated[tuple[str, ...] | None, Field(min_length=2, strict=False)] = None
    image_shape: Annotated[tuple[Positive, Positive, Positive] | None, Field(strict=False)] = None
    skip_unreadable: bool = False

    @field_validator("set")
    @classmethod
    def _known(cls, value: str) -> str:
        return one_of(value, (*CLASSIFIED, FOLDER))

    @property
    def kind(self) -> DataSet:
        """Image shape and classes."""
        if self.image_shape is not None and self.classes is not None:
            return DataSet(self.image_shape, self.classes, sampled=True)
        return DATA_SETS[self.set]

    @model_validator(mode="after")
    def _keys_of_the_set(self) -> Self:
        for key in _OF_A_FOLDER:
            if self.set == FOLDER and getattr(self, key) is None:
                raise misfit(key, "the set folder needs this key; add it")
            if self.set != FOLDER and getattr(self, key) is not None:
                raise misfit(key, f"the set {self.set} has its own; leave the key out")
        if self.sample is not None and not self.kind.sampled:
            raise misfit("sample", f"{self.set} is used whole; leave the key out")
        return self
