"""labels.toml against the recipe beside it, before anything is trained."""

from __future__ import annotations

from pathlib import Path

from explaind.bundles.labels import FILE_NAME, SpaceLabels, parse_labels
from explaind.errors import RecipeInvalid
from explaind.training.recipe import Recipe


def require_labels_fit(folder: Path, recipe: Recipe) -> None:
    """Raises RecipeInvalid, with the line, where the folder's labels.toml names a latent that its space has not, or a
    space that the recipe has not; BundleInvalid where the file is malformed.

    That labels describe another encoder is no error: training may be what brings the right one.
    """
    path = folder / FILE_NAME
    for name, labels in parse_labels(path).items():
        space = recipe.spaces.get(name)
        if space is None:
            known = ", ".join(recipe.spaces) or "none"
            raise _invalid(path, f"[{name}]", f"the recipe has no latent space {name}, but {known}")
        _require_latents(path, name, labels, space.table(recipe.data.kind).latents)


def _require_latents(path: Path, name: str, labels: SpaceLabels, latents: int) -> None:
    for factor in labels.factors:
        beyond = [dimension for dimension in factor.dimensions if dimension >= latents]
        if beyond:
            problem = f"the space {name} has the latents 0 to {latents - 1}, no {beyond[0]} ({factor.label})"
            raise _invalid(path, f"dimensions = {list(factor.dimensions)}", problem)


def _invalid(path: Path, wanted: str, problem: str) -> RecipeInvalid:
    lines = path.read_text(encoding="utf-8").splitlines()
    squeezed = wanted.replace(" ", "")
    line = next((number for number, text in enumerate(lines, 1) if text.replace(" ", "").startswith(squeezed)), None)
    where = f"{path}, line {line}" if line else str(path)
    return RecipeInvalid(
        f"{where}: {problem}; correct it, or name the latents anew with `explaind label`.",
        metadata={"path": str(path), "line": str(line or "")},
    )
