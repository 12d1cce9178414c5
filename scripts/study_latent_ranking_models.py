"""[LR]'s seven VAEs, and the one it retrained, on the pedestrians there are.

    python scripts/study_latent_ranking_models.py            # about 15 minutes of one processor
    python scripts/study_latent_ranking_models.py --quick    # one epoch each on 32 images: shows that it runs

Writes README.md, results.json and figures to docs/results/latent_ranking_models after each model. Killed, it goes on
after the last finished epoch when it is called again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from explaind.training.folder_lock import locked
from explaind.training.progress import reporting
from explaind.training.studies.pedestrian_fits import FULL, MODELS, QUICK, fit_all, study_splits
from explaind.training.studies.pedestrian_page import write_page

_NAME = "latent_ranking_models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--training-runs", type=Path, default=Path("training_runs"))
    parser.add_argument("--output", type=Path, help="default: docs/results, with --quick in the training runs")
    parser.add_argument("--quick", action="store_true", help="one epoch each on 32 images")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="default: all")
    arguments = parser.parse_args()
    plan, suffix = (QUICK, "-quick") if arguments.quick else (FULL, "")
    runs = arguments.training_runs / f"{_NAME}{suffix}"
    output = arguments.output or (runs / "page" if arguments.quick else Path("docs/results") / _NAME)
    splits = study_splits(arguments.data, plan)
    runs.mkdir(parents=True, exist_ok=True)
    with locked(runs), reporting() as reporter:
        fit_all(
            plan,
            splits,
            runs,
            reporter,
            names=arguments.models,
            after_each=lambda: write_page(plan, splits, runs, output),
        )
        write_page(plan, splits, runs, output)
        reporter.note(f"the page is {output / 'README.md'}")


if __name__ == "__main__":
    main()
