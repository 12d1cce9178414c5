"""A bundle's recipe: TOML → frozen models. Whatever is wrong is named with its key and line."""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from explaind.errors import RecipeInvalid
from explaind.training.architectures import (
    AUTOENCODER_FAMILIES,
    AUTOENCODERS,
    CLASSIFIER_FAMILIES,
    CLASSIFIERS,
    AutoencoderTable,
    ClassifierTable,
    autoencoder_table,
    classifier_table,
)
from explaind.training.data_recipe import DataRecipe
from explaind.training.data_sets import DATA_SETS, DataSet
from explaind.training.program_recipe import ProgramRecipe
from explaind.training.recipe_errors import invalid, misfit, one_of
from explaind.training.recipe_section import Positive, Section

FILE_NAME = "recipe.toml"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class FitRecipe(Section):
    """epochs: at most; the learning rate falls to 0 over them (half a cosine). patience: epochs without a better
    validation value before stopping; too small stops on noise. precision: of convolutions and products while fitting;
    bfloat16 takes half the time where the processor has it, and 13 to 30 times as long where it is emulated (measured
    with [PM]'s classifier of CIFAR-10 and [LR]'s on AVX2); weights stay float32."""

    LATER = frozenset({"precision"})

    architecture: str
    epochs: Positive
    patience: Positive = 5
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    precision: Literal["float32", "bfloat16"] = "float32"


class ClassifierRecipe(FitRecipe):
    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        return one_of(value, sorted({*CLASSIFIERS, *CLASSIFIER_FAMILIES}))

    def table(self, data_set: DataSet) -> ClassifierTable:
        """The network for such images and classes. Raises ValueError where the architecture is for others."""
        return classifier_table(self.architecture, data_set.image_shape, len(data_set.class_names))


def _kind_of_classifier(value: object) -> str:
    foreign = isinstance(value, ProgramRecipe) or (isinstance(value, Mapping) and "program" in value)
    return "[program]" if foreign else "[fit]"


AnyClassifier = Annotated[
    Annotated[ClassifierRecipe, Tag("[fit]")] | Annotated[ProgramRecipe, Tag("[program]")],
    Discriminator(_kind_of_classifier),
]
"""A classifier to fit, or one that was trained elsewhere."""


class SpaceRecipe(FitRecipe):
    """One VAE: what it is trained on is the sum of a reconstruction term and a penalty of its codes.

    objective: `vae` reconstruction + KL; `beta` reconstruction + beta·KL; `capacity` reconstruction + beta·|KL − C|,
    C rising to `capacity` nats over `capacity_epochs` epochs; `beta_tc` reconstruction + KL + (beta − 1)·total
    correlation. Unset: `capacity` where there is one, else `beta`. reconstruction: see `reconstruction_terms`.
    latents: of an architecture that leaves their number open; unset: the source's. likelihood_weight, sparsity: what
    morphs and path masks take where a caller names none; unset, a mask's sparsity is 1. supervised_images,
    supervision_weight: see `supervision`; both or neither. Too few images are learned by heart, too small a weight
    leaves the factors where they lay, too large a one leaves little to reconstruction.
    """

    LATER = FitRecipe.LATER | {
        "objective", "reconstruction", "latents", "sparsity", "supervised_images", "supervision_weight",
    }  # fmt: skip

    roles: Annotated[tuple[Literal["morphing", "ranking"], ...], Field(min_length=1, strict=False)]
    objective: Literal["vae", "beta", "capacity", "beta_tc"] | None = None
    reconstruction: Literal["bernoulli", "gaussian", "cosine", "ssim"] = "bernoulli"
    latents: Positive | None = None
    beta: Annotated[float, Field(ge=0)] = 1.0
    capacity: Annotated[float, Field(gt=0)] | None = None
    capacity_epochs: Positive = 1
    likelihood_weight: Annotated[float, Field(ge=0)] = 0.1
    sparsity: Annotated[float, Field(ge=0, le=1e6)] | None = None
    supervised_images: Annotated[int, Field(ge=2)] | None = None
    supervision_weight: Annotated[float, Field(gt=0, le=1e6)] | None = None

    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        return one_of(value, sorted({*AUTOENCODERS, *AUTOENCODER_FAMILIES}))

    @model_validator(mode="after")
    def _objective_and_its_weights(self) -> Self:
        if self.objective == "vae" and self.beta != 1.0:
            raise misfit("beta", f"the objective vae has beta 1, not {self.beta:g}; name the objective beta instead")
        if self.objective == "capacity" and self.capacity is None:
            raise misfit("objective", "the objective capacity needs the key capacity, in nats; add it")
        if self.objective not in (None, "capacity") and self.capacity is not None:
            raise misfit("capacity", f"the objective {self.objective} has no capacity; leave the key out")
        if self.capacity is not None and self.capacity_epochs > self.epochs:
            raise misfit(
                "capacity_epochs",
                f"the capacity rises over {self.capacity_epochs} epochs and the fit has {self.epochs}, so no epoch "
                "could count; lower it, or raise epochs",
            )
        return self

    @model_validator(mode="after")
    def _supervision_and_its_weight(self) -> Self:
        for key, other in itertools.permutations(("supervised_images", "supervision_weight")):
            if getattr(self, key) is not None and getattr(self, other) is None:
                raise misfit(key, f"it goes with {other}; add that, or leave both out")
        return self

    def table(self, data_set: DataSet) -> AutoencoderTable:
        """The network for such images. Raises ValueError where the architecture is for others."""
        return autoencoder_table(self.architecture, data_set.image_shape, self.latents)


class ReferenceRecipe(Section):
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


class AnomalyRecipe(Section):
    """outliers: data sets the supervised detector learns from; empty: the bundle has none."""

    outliers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    outlier_images: Positive = 10000

    @field_validator("outliers")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one_of(name, DATA_SETS) for name in value)


class Recipe(Section):
    """All that a bundle is built from. threads: of torch; part of the recipe because sums in another order give
    other last bits, so a rebuild is the same to the bit only at the same number."""

    name: Name
    version: Annotated[str, Field(pattern=r"^[1-9][0-9]*$")] = "1"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    data: DataRecipe
    classifier: AnyClassifier
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

    @model_validator(mode="after")
    def _networks_fit_the_images(self) -> Self:
        classifiers = {"classifier": self.classifier, "judge": self.judge}
        for name, classifier in classifiers.items():
            if isinstance(classifier, ClassifierRecipe):
                _require_table(f"{name}.architecture", classifier.table, self.data.kind)
        for name, space in self.spaces.items():
            _require_table(f"spaces.{name}.architecture", space.table, self.data.kind)
        return self

    @model_validator(mode="after")
    def _supervised_factors_are_known(self) -> Self:
        kind = self.data.kind
        for name, space in self.spaces.items():
            if space.supervised_images is None:
                continue
            if not kind.factors:
                key = f"spaces.{name}.supervised_images"
                raise misfit(key, f"the factors of {self.data.set}'s images are not known; leave the key out")
            if (latents := space.table(kind).latents) < len(kind.factors):
                key, few = f"spaces.{name}.latents", f"{latents} latents cannot hold {len(kind.factors)} factors"
                raise misfit(key, f"{few}; raise it, or leave supervised_images out")
        return self

    @model_validator(mode="after")
    def _program_takes_such_images(self) -> Self:
        if isinstance(self.classifier, ProgramRecipe):
            takes, has = self.classifier.input_shape[0], self.data.kind.image_shape[0]
            if takes != has:
                raise misfit("classifier.input_shape", f"it takes {takes} channels, the images have {has}")
        return self

    @model_validator(mode="after")
    def _outliers_fit_the_images(self) -> Self:
        for name in self.anomaly.outliers:
            if name == self.data.set:
                raise misfit("anomaly.outliers", f"{name} is the bundle's own data set, so no outlier; leave it out")
            if DATA_SETS[name].image_shape != self.data.kind.image_shape:
                raise misfit("anomaly.outliers", f"{name} has images of another shape than {self.data.set}")
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
    path = path / FILE_NAME if path.is_dir() else path
    text = _read(path)
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise RecipeInvalid(f"{path} is not TOML: {exc}. Correct it there.", metadata={"path": str(path)}) from exc
    except ValidationError as exc:
        raise invalid(path, text, exc.errors()[0]) from exc


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise RecipeInvalid(f"There is no recipe {path}; name a bundle folder that has a recipe.toml.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise RecipeInvalid(f"The recipe {path} cannot be read: {exc}.") from exc


def _require_table(key: str, table: Callable[[DataSet], object], data_set: DataSet) -> None:
    try:
        table(data_set)
    except ValueError as exc:
        raise misfit(key, f"{exc}; choose another architecture or data set") from exc
