"""What is evaluated: a built bundle on its serving backend, its data, and an independent judge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from explaind.backends import onnx
from explaind.backends.bundle_models import BundleModels
from explaind.bundles import labels
from explaind.bundles import manifest as manifests
from explaind.bundles import reference as references
from explaind.errors import BundleInvalid
from explaind.explanations.models import Autoencoder, MorphingModels
from explaind.explanations.prediction import predict
from explaind.explanations.types import Factor, FloatArray, MorphReference, Prediction, RankingReference, Reference
from explaind.training.datasets import Splits, as_floats, load_splits
from explaind.training.evaluation.judge import Judge
from explaind.training.recipe import Recipe, load_recipe


@dataclass(frozen=True, eq=False)
class Subject:
    """name/version of the bundle in `folder`; models on ONNX, one thread. runs: folder of the training runs, one a
    bundle, that keep what is not served."""

    folder: Path
    recipe: Recipe
    manifest: manifests.Manifest
    reference: Reference
    models: BundleModels
    splits: Splits
    data: Path
    runs: Path = Path("training_runs")

    @cached_property
    def images(self) -> FloatArray:
        """The evaluation half of the test set: never used to fit, to stop, or to calibrate."""
        return as_floats(self.splits.evaluation.images)

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """Of every evaluation image."""
        return predict(self.models.classifier, self.images)

    @cached_property
    def predicted(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([p.class_index for p in self.predictions])

    @cached_property
    def judge(self) -> Judge | None:
        """None where the recipe names none. Raises BundleInvalid where the training run has it no more."""
        return Judge(self.runs / self.recipe.name) if self.recipe.judge is not None else None

    @property
    def morphing_name(self) -> str:
        return self._space("morphing")

    @property
    def ranking_name(self) -> str:
        return self._space("ranking")

    @property
    def autoencoder(self) -> Autoencoder:
        return self.models.autoencoders[self.morphing_name]

    def morphing_models(self) -> MorphingModels:
        models = self.models.morphing(self.morphing_name)
        if models is None:
            raise BundleInvalid(f"{self.folder} has no gradient graphs; nothing to evaluate a path mask with.")
        return models

    def plain_factors(self) -> tuple[Factor, ...]:
        """The ranking space's latents without their names."""
        return tuple(
            Factor(dimensions=(index,), label=f"z{index}") for index in range(len(self.ranking_reference().used))
        )

    def latent_names(self, space: str) -> tuple[str, ...]:
        """A name for every latent of a space: from labels.toml where it describes this very encoder, else `z17`.
        Latents that share a label are told apart, as `x (z6)`."""
        described = self.manifest.space_named(space)
        if described is None:
            raise BundleInvalid(f"{self.folder} has no space {space}.")
        named = labels.parse_labels(self.folder.parent / labels.FILE_NAME).get(space)
        fits = named is not None and not labels.misfit(named, described.latent_count, described.encoder_digest)
        factors = labels.factors_of(described.latent_count, named if fits else None)
        named_of = {d: factor.label for factor in factors for d in factor.dimensions}
        labels_used = list(named_of.values())
        return tuple(
            f"{label} (z{d})" if labels_used.count(label) > 1 else label for d, label in sorted(named_of.items())
        )

    def morph_reference(self) -> MorphReference:
        if self.reference.morph is None:
            raise BundleInvalid(f"{self.folder} has no class norms; train it again.")
        return self.reference.morph

    def ranking_reference(self) -> RankingReference:
        return self.reference.rankings[self.ranking_name]

    def _space(self, role: manifests.Role) -> str:
        space = self.manifest.space_with_role(role)
        if space is None:
            raise BundleInvalid(f"{self.folder} has no {role} space.")
        return space.name


def open_subject(bundle: Path, data: Path, runs: Path = Path("training_runs")) -> Subject:
    """bundle: the folder of a recipe. Raises RecipeInvalid, DataSetInvalid; BundleInvalid where the bundle is damaged
    or was built from another recipe, whose divisions of the images would not be this one's."""
    recipe = load_recipe(bundle)
    folder = bundle / recipe.version
    manifest = manifests.read(folder)
    manifests.verify(folder, manifest)
    if manifest.recipe_digest != recipe.digest():
        raise BundleInvalid(
            f"{folder} was built from another recipe than {bundle} has now, so images to evaluate on may be among "
            f"those it was fitted on: build it again with `explaind train {bundle}`."
        )
    return Subject(
        folder=folder,
        recipe=recipe,
        manifest=manifest,
        reference=references.load(folder / "reference.npz"),
        models=onnx.open_bundle(folder, threads=1),
        splits=load_splits(recipe.data, data),
        data=data,
        runs=runs,
    )
