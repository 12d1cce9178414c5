"""A foreign classifier in a run folder: its file, and a table that says how it is fed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explaind.bundles.manifest import file_digest
from explaind.errors import BundleInvalid, ClassifierInvalid
from explaind.training.data_sets import DataSet
from explaind.training.foreign.preparation import Preparation, PreparedClassifier
from explaind.training.foreign.program import open_prepared
from explaind.training.program_recipe import ProgramRecipe

Table = Mapping[str, Any]


def program_table(recipe: ProgramRecipe, kind: DataSet) -> dict[str, Any]:
    """What stands in the place of a layer table: no layers, and the program with its preparation, JSON-able."""
    return {
        "image_shape": list(kind.image_shape),
        "classes": len(kind.class_names),
        "layers": [],
        "program": {
            "file": recipe.program,
            "input_shape": list(recipe.input_shape),
            "mean": list(recipe.mean),
            "deviation": list(recipe.deviation),
            "outputs": recipe.outputs,
            "gradients": recipe.gradients,
        },
    }


def adopt_program(home: Path, run: Path, table: Table, sha256: str) -> PreparedClassifier:
    """Copies the program from `home`, the recipe's folder, into `run`. Raises ClassifierInvalid where it is another."""
    source = home / table["program"]["file"]
    if not source.is_file():
        raise ClassifierInvalid(f"There is no {source}, which the recipe names; put the classifier's file there.")
    if file_digest(source) != sha256:
        raise ClassifierInvalid(
            f"{source} is not the file that the recipe was written for (its SHA-256 differs): put that one back, or "
            "make a new recipe with `explaind new`."
        )
    partial = run / "program.partial"
    shutil.copyfile(source, partial)
    partial.replace(run / source.name)
    return load_adopted(run, table)


def load_adopted(run: Path, table: Table) -> PreparedClassifier:
    """The program in a run folder. Raises BundleInvalid where it is missing, ClassifierInvalid where it is damaged."""
    program = table["program"]
    path = run / program["file"]
    if not path.is_file():
        raise BundleInvalid(f"There is no {path}; run `explaind train` again.")
    preparation = Preparation(
        image_shape=_shape(table["image_shape"]),
        input_shape=_shape(program["input_shape"]),
        mean=tuple(program["mean"]),
        deviation=tuple(program["deviation"]),
        outputs=program["outputs"],
    )
    return open_prepared(path, preparation, gradients=program["gradients"])


def _shape(sides: list[int]) -> tuple[int, int, int]:
    channels, height, width = sides
    return channels, height, width
