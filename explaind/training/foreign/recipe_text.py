"""The recipe that `explaind new` writes: every choice, to be read, changed and built again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from explaind.bundles.manifest import file_digest
from explaind.training.datasets.image_folder import ImageTree
from explaind.training.foreign.behaviour import Behaviour
from explaind.training.foreign.plan import SPLIT_SEED, Counts, Wishes
from explaind.training.layer_tables import ImageShape

_UPDATES, _QUICK_UPDATES = 6000, 240
_BATCHES = ((5000, 128), (1000, 64), (300, 32), (0, 16))
"""Least images to fit on, and the batch for so many: fewer images still need enough updates an epoch."""
_MORPHING_LATENTS, _RANKING_LATENTS = 64, 16
_SOBOL_SECONDS = 60.0


def recipe_text(
    wishes: Wishes, tree: ImageTree, behaviour: Behaviour, parts: Counts, program: Path, *, gradients: bool
) -> str:
    """The recipe as TOML. program: the classifier's file, to lie beside it. gradients: path masks can be had."""
    prepared = behaviour.preparation
    batch = next(size for least, size in _BATCHES if parts.train >= least)
    epochs = wishes.epochs or _epochs(parts.train, batch, quick=wishes.quick)
    sobol = _sobol_samples(behaviour.seconds, quick=wishes.quick)
    sample = f"sample = {wishes.most_images}\n" if wishes.most_images is not None else ""
    skip = "skip_unreadable = true\n" if wishes.skip_unreadable else ""
    most = min(parts.train, max(500, int(120 / behaviour.seconds)))
    trees = "[25]" if wishes.quick else "[25, 50, 100]"
    return f"""# Written by `explaind new`; `explaind train` builds the bundle again from it and the program beside it.

name = {_text(wishes.name)}
version = "1"
seed = {wishes.seed}
threads = 1

[data]
set = "folder"
path = {_text(str(wishes.images.resolve()))}
classes = {json.dumps(tree.classes, ensure_ascii=False)}
image_shape = {_list(prepared.image_shape)}   # what callers send
validation = {parts.validation}
calibration = {parts.calibration}   # {parts.evaluation} more are left to measure on
split_seed = {SPLIT_SEED}
{sample}{skip}
[classifier]
program = {_text(program.name)}
sha256 = "{file_digest(program)}"
input_shape = {_list(prepared.input_shape)}   # images are resized to it inside the graphs
mean = {_list(prepared.mean)}
deviation = {_list(prepared.deviation)}
outputs = {_text(prepared.outputs)}
gradients = {str(gradients).lower()}

[spaces.morphing]
architecture = "fitted_vae"
roles = ["morphing"]
latents = {_MORPHING_LATENTS}
epochs = {epochs}
patience = {max(4, epochs // 5)}
batch_size = {batch}
learning_rate = 1e-3

[spaces.ranking]
architecture = "fitted_narrow_vae"
roles = ["ranking"]
latents = {_RANKING_LATENTS}
epochs = {epochs}
patience = {max(4, epochs // 5)}
batch_size = {batch}
learning_rate = 1e-3
beta = 2.0

[reference]
images = {most}    # the classifier takes {1000 * behaviour.seconds:.2g} ms an image
forest_images = {min(20000, most)}
samples_per_image = 4
sobol_samples = {sobol}
forest_trees = {trees}
served_trees = {25 if wishes.quick else 50}
"""


def _epochs(train: int, batch: int, *, quick: bool) -> int:
    """So many that there are 6,000 updates (quick: 240), at least 3, at most 300."""
    updates = _QUICK_UPDATES if quick else _UPDATES
    return min(300, max(3, math.ceil(updates / max(1, train // batch))))


def _sobol_samples(seconds: float, *, quick: bool) -> int:
    """A power of two that takes the classifier about a minute."""
    decodings = _MORPHING_LATENTS + _RANKING_LATENTS + 4
    affordable = _SOBOL_SECONDS / (seconds * decodings)
    most = 64 if quick else 2048
    return int(min(most, max(32, 2 ** math.floor(math.log2(max(affordable, 1.0))))))


def _list(values: Sequence[float] | ImageShape) -> str:
    return f"[{', '.join(map(repr, values))}]"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
