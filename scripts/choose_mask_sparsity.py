"""What a pixel of the path mask should cost in a planted bundle: the choice behind its recipe's `sparsity`.

    python scripts/choose_mask_sparsity.py model_store/planted_mark

Prints the overlap of the served masks with the pixels that are known to decide, by sparsity, on training scenes: the
scenes that the bundle is evaluated on have no part in the choice. The bundle must be built; a mask takes 30 ms.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from explaind.cli.tables import print_table
from explaind.training.datasets import as_floats
from explaind.training.datasets.planted import QUESTIONS, TEST_SHARE, draw_scenes, known_pixels, render
from explaind.training.evaluation.subject import open_subject
from explaind.training.evaluation.truth.planted_masks import overlap_at
from explaind.training.evaluation.truth.white_box import open_white_box

SPARSITIES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--scenes", type=int, default=60)
    arguments = parser.parse_args()
    subject = open_subject(arguments.bundle, Path())
    data, box = subject.recipe.data, open_white_box(subject)
    sample = data.sample or 0
    training = draw_scenes(sample - round(TEST_SHARE * sample), (data.split_seed, 0))
    known = known_pixels(training, QUESTIONS[data.set])[: arguments.scenes]
    images = as_floats(render(training)[: arguments.scenes])
    rows = [(f"{cost:g}", f"{overlap_at(subject, box, images, known, cost):.3f}") for cost in SPARSITIES]
    print_table(f"{arguments.scenes} training scenes", ("sparsity", "median IoU with the known pixels"), rows)


if __name__ == "__main__":
    main()
