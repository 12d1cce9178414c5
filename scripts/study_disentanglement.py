"""β-VAE against β-TCVAE on dSprites: the same β, seeds, images and steps; MIG, SAP, FactorVAE score and DCI of each.

    python scripts/study_disentanglement.py            # six networks, about 5 minutes of one processor
    python scripts/study_disentanglement.py --quick    # one seed on 1,280 images: shows that it runs

Writes README.md, results.json and figures to docs/results/disentanglement after each network. Killed, it goes on after
the last finished epoch when it is called again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from explaind.training.folder_lock import locked
from explaind.training.progress import reporting
from explaind.training.studies.sprite_fits import QUICK, Plan, fit_all, study_images
from explaind.training.studies.sprite_page import write_page

_NAME = "disentanglement"


def main() -> None:
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--training-runs", type=Path, default=Path("training_runs"))
    parser.add_argument("--output", type=Path, help="default: docs/results, with --quick in the training runs")
    parser.add_argument("--quick", action="store_true", help="one seed, 20 steps each")
    parser.add_argument("--betas", nargs="+", type=float, default=list(plan.betas))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(plan.seeds))
    arguments = parser.parse_args()
    plan = replace(plan, betas=tuple(arguments.betas), seeds=tuple(arguments.seeds))
    chosen, suffix = (QUICK, "-quick") if arguments.quick else (plan, "")
    runs = arguments.training_runs / f"{_NAME}{suffix}"
    output = arguments.output or (runs / "page" if arguments.quick else Path("docs/results") / _NAME)
    images = study_images(arguments.data, chosen)
    runs.mkdir(parents=True, exist_ok=True)
    with locked(runs), reporting() as reporter:
        fit_all(chosen, images, runs, reporter, after_each=lambda: write_page(chosen, images, runs, output))
        write_page(chosen, images, runs, output)
        reporter.note(f"the page is {output / 'README.md'}")


if __name__ == "__main__":
    main()
