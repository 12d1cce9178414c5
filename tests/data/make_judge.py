"""Writes judge.onnx from the judge that `explaind train model_store/mnist` leaves in training_runs/mnist.

python tests/data/make_judge.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from explaind.training import onnx_files
from explaind.training.trained import JUDGE, load_classifier


def main() -> None:
    judge = load_classifier(Path("training_runs/mnist"), JUDGE)
    model = onnx_files.export(judge, {"images": torch.zeros(3, 1, 28, 28)}, ("logits",))
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder) / "none.safetensors"  # no stored weight matches, so the file keeps its own
        save_file({"none": torch.zeros(0)}, nothing)
        onnx_files.write(Path(__file__).with_name("judge.onnx"), model, onnx_files.WeightIndex(nothing))


if __name__ == "__main__":
    main()
