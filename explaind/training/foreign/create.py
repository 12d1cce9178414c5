"""`explaind new`, whole: a foreign classifier and a folder of images → a bundle in the model store, and how good it is.

Everything is written under the run folder first and moved into the model store at the end. A second call with the same
wishes goes on where the first was stopped.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from explaind.bundles import manifest as manifests
from explaind.bundles.labels import FILE_NAME as LABELS
from explaind.bundles.manifest import file_digest
from explaind.errors import ConfigurationError
from explaind.explanations.models import FloatArray
from explaind.training import onnx_files
from explaind.training.build import build
from explaind.training.datasets import as_floats
from explaind.training.datasets.folder import read_image
from explaind.training.datasets.image_folder import ImageTree, look_at
from explaind.training.evaluation.subject import open_subject
from explaind.training.folder_swap import replacing, require_writable
from explaind.training.foreign import behaviour, plan, quality
from explaind.training.foreign.assessment import assess
from explaind.training.foreign.behaviour import Behaviour
from explaind.training.foreign.plan import Wishes
from explaind.training.foreign.preparation import PreparedClassifier
from explaind.training.foreign.program import Program, open_program
from explaind.training.foreign.program_gradients import PROGRAM_DECOMPOSITIONS
from explaind.training.foreign.quality_page import write_page
from explaind.training.foreign.recipe_text import recipe_text
from explaind.training.foreign.verdicts import Assessment, as_json
from explaind.training.gradient_graphs import probability_gradient, trace
from explaind.training.layer_tables import ImageShape
from explaind.training.recipe import FILE_NAME as RECIPE
from explaind.training.recipe import digest_of, load_recipe

STAGE = "new"
REQUEST = "request.json"
QUALITY = "quality.json"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Created:
    """bundle: the folder of the version in the model store. page: the quality report."""

    bundle: Path
    page: Path
    assessments: tuple[Assessment, ...]


def create(
    wishes: Wishes,
    classifier: Path,
    *,
    store: Path,
    runs: Path,
    report: Path | None = None,
    replace_old: bool = False,
    say: Say = lambda line: None,
) -> Created:
    """report: folder of the quality report; None: `<runs>/<name>/quality`. say: is told what is decided.

    Raises ClassifierInvalid, DataSetInvalid, RecipeInvalid, ParityFailed; ConfigurationError where the model is there
    already or a folder cannot be written.
    """
    home = store / wishes.name
    if home.exists() and not replace_old:
        raise ConfigurationError(f"There is a model {home} already; choose another name, or --replace it.")
    require_writable(home)
    stage = runs / wishes.name / STAGE
    _write_recipe(wishes, classifier, stage, say)
    with warnings.catch_warnings():
        # Of the forest's cross-validation, where a class is rare; the report says how good the forest is.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        build(stage, runs=runs)
    subject = open_subject(stage, Path(), runs)
    extent = quality.QUICK if wishes.quick else quality.QualityExtent()
    say("measuring what the explanations are worth …")
    measured = quality.measure(subject, extent)
    assessments = assess(measured, subject.morphing_name, subject.ranking_name, len(subject.manifest.class_names))
    page = write_page(report or runs / wishes.name / "quality", subject, measured, assessments)
    (stage / QUALITY).write_text(json.dumps(as_json(assessments), indent=1) + "\n", encoding="utf-8")
    return Created(_move(stage, home, subject.manifest.version), page, assessments)


def _write_recipe(wishes: Wishes, classifier: Path, stage: Path, say: Say) -> None:
    """Keeps the recipe of an earlier call with the same wishes: what was fitted for it need not be fitted again."""
    tree = look_at(wishes.images, wishes.classes)
    program = open_program(classifier)
    request = _request(wishes, classifier, tree)
    known = stage / REQUEST
    if known.is_file() and known.read_text(encoding="utf-8") == request and (stage / RECIPE).is_file():
        say(f"goes on with {stage / RECIPE}")
        return
    observed, parts = _look(wishes, program, tree, say)
    gradients = program.differentiable and _has_gradients(program, observed, len(tree.classes), say)
    stage.mkdir(parents=True, exist_ok=True)
    copy = stage / f"classifier{classifier.suffix}"
    shutil.copyfile(classifier, copy)
    text = recipe_text(wishes, tree, observed, parts, copy, gradients=gradients)
    (stage / RECIPE).write_text(text, encoding="utf-8")
    load_recipe(stage)  # what cannot be is said before anything is trained
    known.write_text(request, encoding="utf-8")


def _request(wishes: Wishes, classifier: Path, tree: ImageTree) -> str:
    told = {key: str(getattr(wishes, key)) for key in Wishes.__slots__}
    files = [(str(path), path.stat().st_size) for path in tree.files]
    return json.dumps({"wishes": told, "classifier": file_digest(classifier), "images": digest_of(files)}) + "\n"


def _look(wishes: Wishes, program: Program, tree: ImageTree, say: Say) -> tuple[Behaviour, plan.Counts]:
    """What is decided from the images and the classifier, said as it is decided."""
    sizes = plan.sizes_of(tree)
    prepared = plan.preparation(program, sizes, wishes)
    observed = behaviour.examine(program, prepared, _some(tree, prepared.image_shape), tree.classes)
    parts = plan.counts(tree, wishes.most_images)
    channels, height, width = prepared.image_shape
    say(
        f"{len(tree)} images of {len(tree.classes)} classes, {sizes.common[0]} × {sizes.common[1]} pixels"
        f"{' and others, which are stretched' if sizes.mixed else ''}"
        f"{f'; {tree.others} other files are not looked at' if tree.others else ''}"
    )
    say(
        f"fitted on {parts.train}, stopped on {parts.validation}, calibrated on {parts.calibration}, measured on "
        f"{parts.evaluation}"
    )
    say(
        f"callers send {channels} × {height} × {width}"
        f"{', to which these images are stretched' if sizes.common != (height, width) else ''}; the classifier gets "
        f"{prepared.input_shape[1]} × {prepared.input_shape[2]}"
        f"{', resized inside the graphs' if prepared.resizes else ''}"
    )
    if observed.preparation.outputs == "probabilities":
        say("the classifier gives probabilities; their logarithms are its logits")
    return observed, parts


def _some(tree: ImageTree, shape: ImageShape) -> FloatArray:
    """A few images from all over the folder, as the classifier will get them."""
    step = max(1, len(tree) // behaviour.LEAST_IMAGES)
    chosen = tree.files[::step][: behaviour.LEAST_IMAGES]
    return as_floats(np.stack([read_image(path, shape) for path in chosen]))


def _has_gradients(program: Program, observed: Behaviour, classes: int, say: Say) -> bool:
    """Whether the classifier's gradient can be written as a graph; tried before anything is trained."""
    network = PreparedClassifier(program.network, observed.preparation, gradients=True).requires_grad_(False)
    rows = next(n for n in range(2, 9) if n not in {*observed.preparation.image_shape, classes})
    inputs = {"images": torch.zeros(rows, *observed.preparation.image_shape), "weights": torch.ones(rows, classes)}
    say("writing the classifier's gradient as a graph …")
    try:
        traced = trace(probability_gradient(network), tuple(inputs.values()), (network,), PROGRAM_DECOMPOSITIONS)
        onnx_files.export(traced, inputs, ("gradient", "probabilities"))
    except Exception as exc:  # whatever a foreign program's operations lead to
        first = (str(exc).strip() or type(exc).__name__).splitlines()[0][:200]
        say(f"no path masks: the classifier's gradient cannot be written as an ONNX graph ({first})")
        return False
    return True


def _move(stage: Path, home: Path, version: str) -> Path:
    """All that belongs to the model, at once. Of a model that is replaced, its other versions and the labels that
    somebody wrote stay."""
    with replacing(home) as partial:
        for path in _kept(stage, home):
            _copy(path, partial / path.name)
        for path in sorted(stage.iterdir()):
            if path.name == REQUEST:
                continue
            _copy(path, partial / path.name)
    return home / version


def _kept(stage: Path, home: Path) -> list[Path]:
    if not home.exists():
        return []
    versions = [path for path in sorted(home.iterdir()) if (path / manifests.FILE_NAME).is_file()]
    labels = [path for path in (home / LABELS,) if path.is_file()]
    return [path for path in (*versions, *labels) if not (stage / path.name).exists()]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
