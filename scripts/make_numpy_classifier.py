"""A small classifier from elsewhere: two layers in NumPy on FashionMNIST, as an ONNX file that gives probabilities.

    python scripts/make_numpy_classifier.py --data data --output /tmp/clothes

Writes `clothes.onnx` (images (batch, 1, 28, 28), minus 0.5, → probabilities), `classes.txt` and the test images, which
it was not fitted on, as PNG files under `images/<class>`; prints the accuracy and the `explaind new` command. No torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
HIDDEN, BATCH, EPOCHS, RATE, MOMENTUM, SEED = 96, 100, 6, 0.05, 0.9, 4

Floats = NDArray[np.float32]
Layers = tuple[Floats, Floats, Floats, Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with fashion_mnist.npz")
    parser.add_argument("--output", type=Path, required=True, help="folder for the graph and the images")
    options = parser.parse_args()
    with np.load(options.data / "fashion_mnist.npz") as archive:
        (train, labels), (test, truth) = ((archive[f"x_{p}"], archive[f"y_{p}"]) for p in ("train", "test"))
    _write_tree(options.output / "images", test, truth)
    (options.output / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    layers = _fit(_prepared(train), labels.astype(np.int64))
    right = _logits(_prepared(test), layers)[1].argmax(axis=1) == truth
    onnx.save(_graph(layers), str(options.output / "clothes.onnx"))
    sys.stdout.write(f"accuracy on the {len(test)} test images: {right.mean():.4f}\n")
    sys.stdout.write(
        f"explaind new clothes --classifier {options.output / 'clothes.onnx'} --images {options.output / 'images'} "
        f"--classes {options.output / 'classes.txt'} --mean 0.5\n"
    )


def _write_tree(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / CLASSES[int(label)] / f"{index:05}.png")


def _prepared(images: NDArray[np.uint8]) -> Floats:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255) - np.float32(0.5)


def _logits(images: Floats, layers: Layers) -> tuple[Floats, Floats]:
    first, shift, second, offset = layers
    hidden = np.maximum(images @ first + shift, 0)
    return hidden, hidden @ second + offset


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _fit(images: Floats, labels: NDArray[np.int64]) -> Layers:
    """Gradient descent with momentum on the cross entropy, written out."""
    generator = np.random.default_rng(SEED)
    shapes = ((images.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, len(CLASSES)), (len(CLASSES),))
    layers = [(generator.standard_normal(s) * np.sqrt(2 / s[0]) * (len(s) == 2)).astype(np.float32) for s in shapes]
    speeds = [np.zeros_like(layer) for layer in layers]
    for epoch in range(EPOCHS):
        rate = RATE * (1 - epoch / EPOCHS)
        for rows in generator.permutation(len(images)).reshape(-1, BATCH):
            gradients = _gradients(images[rows], labels[rows], (layers[0], layers[1], layers[2], layers[3]))
            for layer, speed, gradient in zip(layers, speeds, gradients, strict=True):
                speed *= MOMENTUM
                speed -= rate * gradient
                layer += speed
    return layers[0], layers[1], layers[2], layers[3]


def _gradients(images: Floats, labels: NDArray[np.int64], layers: Layers) -> list[Floats]:
    hidden, logits = _logits(images, layers)
    error = (_softmax(logits) - np.eye(len(CLASSES), dtype=np.float32)[labels]) / np.float32(len(images))
    back = (error @ layers[2].T) * (hidden > 0)
    gradients = (images.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0))
    return [gradient.astype(np.float32) for gradient in gradients]


def _graph(layers: Layers) -> onnx.ModelProto:
    names = ("first", "shift", "second", "offset")
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "first", "shift"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "second", "offset"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "clothes",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(CLASSES)])],
        [numpy_helper.from_array(layer, name) for layer, name in zip(layers, names, strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
