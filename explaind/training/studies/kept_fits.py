"""The fits of a study: each is measured and kept by itself, so that a study that was killed goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explaind.backends.torch_networks import build, build_encoder
from explaind.errors import ConfigurationError
from explaind.training.checkpoints import checkpoint_file
from explaind.training.data_sets import DATA_SETS
from explaind.training.datasets import ImageSet
from explaind.training.fit import FitResult, deterministic, fit
from explaind.training.objectives import Vae, space_objective
from explaind.training.progress import Reporter
from explaind.training.recipe import SpaceRecipe
from explaind.training.trained import NetworkRecord, SpaceNetworks, fold_autoencoder, save_network, table_json


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFit:
    """name: of its files in the run folder. title: for the log. digest: of all that decides its figures."""

    name: str
    title: str
    recipe: SpaceRecipe
    data_set: str
    seed: int
    digest: str

    def result(self, folder: Path) -> dict[str, Any] | None:
        """None where it is not there, damaged, or of other settings."""
        try:
            value: dict[str, Any] = json.loads(self._file(folder).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if value.get("digest") == self.digest else None

    def keep(self, folder: Path, figures: dict[str, Any]) -> None:
        partial = folder / f"{self.name}.results.partial"
        partial.write_text(json.dumps({"digest": self.digest, **figures}, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._file(folder))

    def _file(self, folder: Path) -> Path:
        return folder / f"{self.name}.results.json"


Measure = Callable[[StudyFit, SpaceNetworks, FitResult, float], dict[str, Any]]
"""(fit, its networks, how it went, CPU seconds) → the figures to keep."""


def fit_missing(
    fits: Iterable[StudyFit],
    train: ImageSet,
    validation: ImageSet,
    folder: Path,
    reporter: Reporter,
    measure: Measure,
    after_each: Callable[[], None] = lambda: None,
) -> None:
    """Fits and measures what `folder` has not yet; a fit that was killed goes on after its last epoch.

    after_each: called when one more is finished. Raises ConfigurationError where nothing can be written.
    """
    for each in fits:
        if each.result(folder) is not None:
            continue
        try:
            _fit_one(each, train, validation, folder, reporter, measure)
        except OSError as error:
            raise ConfigurationError(
                f"The run folder {folder} cannot be written ({error.strerror}); free or change it."
            ) from error
        after_each()


def _fit_one(
    each: StudyFit, train: ImageSet, validation: ImageSet, folder: Path, reporter: Reporter, measure: Measure
) -> None:
    recipe, table = each.recipe, each.recipe.table(DATA_SETS[each.data_set])
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoint_file(folder, each.name, each.digest)
    reporter.start(each.title, recipe.epochs * (len(train) // recipe.batch_size))
    with deterministic(each.seed, threads=1):
        network = Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))
        began = time.process_time()
        result = fit(network, space_objective(recipe, len(train)), train, validation, recipe, reporter, checkpoint)
        seconds = time.process_time() - began
    folded, folded_table = fold_autoencoder(network, table)
    record = NetworkRecord(digest=each.digest, table=table_json(folded_table), figures={}, validation=result.validation)
    save_network(folder, each.name, folded, record)
    each.keep(folder, measure(each, folded, result, seconds))
    checkpoint.remove()
    reporter.note("finished")
