"""A bundle's recipe: TOML → frozen models. Whatever is wrong is named with its key and line."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from explaind.errors import RecipeInvalid
from explaind.training.architectures import AUTOENCODERS, CLASSIFIERS

DATA_SETS = ("mnist", "fashion_mnist", "letters")

Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataRecipe(_Section):
    """validation: images of the training set kept back to stop on. calibration: images of the test set for
    p-values; too few make small p-values impossible (the least is 1/(n + 1)); what is left is for evaluation."""

    set: Literal["mnist", "fashion_mnist"]
    validation: Positive = 5000
    calibration: Positive = 5000
    split_seed: int = 1


class FitRecipe(_Section):
    """epochs: at most; the learning rate falls to 0 over them (half a cosine). patience: epochs without a better
    validation value before stopping; too small stops on noise."""

    architecture: str
    epochs: Positive
    patience: Positive = 5
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3


class ClassifierRecipe(FitRecipe):
    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        return _one_of(value, sorted(CLASSIFIERS))


class SpaceRecipe(FitRecipe):
    """One VAE. Without `capacity` its objective is reconstruction + beta·KL, with it reconstruction +
    beta·|KL − C|, C rising to `capacity` nats over `capacity_epochs` epochs."""

    roles: Annotated[tuple[Literal["morphing", "ranking"], ...], Field(min_length=1, strict=False)]
    beta: Annotated[float, Field(ge=0)] = 1.0
    capacity: Annotated[float, Field(gt=0)] | None = None
    capacity_epochs: Positive = 1
    likelihood_weight: Annotated[float, Field(ge=0)] = 0.1

    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        return _one_of(value, sorted(AUTOENCODERS))


class ReferenceRecipe(_Section):
    """Thresholds and sample sizes of the reference statistics (DESIGN §3.1).

    images: of the training set, for bins and class norms; too few leave outer bins empty. forest_images: of those,
    for the forests; fidelity rises slowly with them, time fast. sobol_samples: base samples of the global indices,
    (D + 2) decodings each.
    """

    minimum_kl: Annotated[float, Field(ge=0)] = 0.1
    minimum_visible_effect: Annotated[float, Field(ge=0)] = 0.02
    images: Positive = 55000
    forest_images: Positive = 20000
    samples_per_image: Positive = 8
    sobol_samples: Positive = 2048
    forest_trees: Annotated[tuple[Positive, ...], Field(min_length=1, strict=False)] = (25, 50, 100)
    served_trees: Annotated[int, Field(ge=1, le=50)] = 50
    served_leaves: Annotated[int, Field(ge=2, le=500)] = 500


class AnomalyRecipe(_Section):
    """outliers: data sets the supervised detector learns from; empty: the bundle has none."""

    outliers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    outlier_images: Positive = 10000

    @field_validator("outliers")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_one_of(name, DATA_SETS) for name in value)


class Recipe(_Section):
    """All that a bundle is built from. threads: of torch; part of the recipe because sums in another order give
    other last bits, so a rebuild is the same to the bit only at the same number."""

    name: Name
    version: Annotated[str, Field(pattern=r"^[1-9][0-9]*$")] = "1"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    data: DataRecipe
    classifier: ClassifierRecipe
    judge: ClassifierRecipe | None = None
    spaces: dict[Name, SpaceRecipe]
    reference: ReferenceRecipe = ReferenceRecipe()
    anomaly: AnomalyRecipe = AnomalyRecipe()

    @model_validator(mode="after")
    def _one_space_a_role(self) -> Self:
        roles = [role for space in self.spaces.values() for role in space.roles]
        repeated = sorted({role for role in roles if roles.count(role) > 1})
        if repeated:
            raise ValueError(f"spaces: the role {repeated[0]} belongs to more than one space; leave it to one")
        return self

    def digest(self) -> str:
        """SHA-256 of what the recipe says; comments and order do not count."""
        return digest_of(self.model_dump(mode="json"))

    def space_with_role(self, role: str) -> str | None:
        return next((name for name, space in self.spaces.items() if role in space.roles), None)


def digest_of(value: object) -> str:
    """SHA-256 of a JSON value in one canonical spelling."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def load_recipe(path: Path) -> Recipe:
    """Reads `recipe.toml`, or the one in the folder `path`.

    Raises RecipeInvalid naming the key, and its line where it is in the file.
    """
    path = path / "recipe.toml" if path.is_dir() else path
    text = _read(path)
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise RecipeInvalid(f"{path} is not TOML: {exc}. Correct it there.", metadata={"path": str(path)}) from exc
    except ValidationError as exc:
        raise _invalid(path, text, exc.errors()[0]) from exc


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise RecipeInvalid(f"There is no recipe {path}; name a bundle folder that has a recipe.toml.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise RecipeInvalid(f"The recipe {path} cannot be read: {exc}.") from exc


def _invalid(path: Path, text: str, error: ErrorDetails) -> RecipeInvalid:
    keys = [str(part) for part in error["loc"] if part != "[key]"]
    key = ".".join(keys)
    line = _line_of(text, keys)
    where = f"{path}, line {line}" if line else str(path)
    if error["type"] == "extra_forbidden":
        problem = f"the key {key} is not known; remove it or correct its spelling"
    elif error["type"] == "missing":
        problem = f"the key {key} is missing; add it"
    else:
        problem = f"{key}: {error['msg'].removeprefix('Value error, ')}" if key else error["msg"]
    return RecipeInvalid(f"{where}: {problem}.", metadata={"path": str(path), "key": key, "line": str(line or "")})


def _line_of(text: str, keys: list[str]) -> int | None:
    """The line of the deepest of `keys` that the text has, sections included."""
    section: list[str] = []
    best: tuple[int, int] = (0, 0)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            section = [part.strip().strip('"') for part in header[1].split(".")]
            found = section
        elif pair := re.match(r"\s*([\w.\"-]+)\s*=", line):
            found = [*section, *(part.strip('"') for part in pair[1].split("."))]
        else:
            continue
        if keys[: len(found)] == found and len(found) > best[0]:
            best = (len(found), number)
    return best[1] or None


def _one_of(value: str, known: list[str] | tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{value!r} is not known; choose one of {', '.join(known)}")
    return value
