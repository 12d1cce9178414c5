"""A classifier that explaind did not train: torchvision's ResNet-18 on the CIFAR-10 part, saved with torch.export.

    python scripts/train_resnet18.py --data data --output /tmp/resnet18

Writes `resnet18_cifar10.pt2` (normalised 64 × 64 images → logits, batch dynamic), `classes.txt` and the images as PNG
files under `images/train/<class>` and `images/test/<class>`; prints the accuracy and the `explaind new` command.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SIDE = 64
BATCH = 128
SEED = 18

Bytes = NDArray[np.uint8]


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    with np.load(options.data / "cifar10_24k.npz") as archive:
        train, test = ((archive[f"x_{part}"], archive[f"y_{part}"]) for part in ("train", "test"))
    for part, (images, labels) in (("train", train), ("test", test)):
        _write_tree(options.output / "images" / part, images, labels)
    (options.output / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    network = torchvision.models.resnet18(weights=None, num_classes=len(CLASSES))
    network = network.to(memory_format=torch.channels_last)
    _fit(network, *train, options.epochs)
    _say(f"accuracy on the {len(test[0])} test images: {_accuracy(network, *test):.4f}")
    _export(network, options.output / "resnet18_cifar10.pt2")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with cifar10_24k.npz")
    parser.add_argument("--output", type=Path, required=True, help="folder for the program and the images")
    parser.add_argument("--epochs", type=int, default=7, help="about 4 minutes each on one core")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _write_tree(folder: Path, images: Bytes, labels: NDArray[np.int64]) -> None:
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / CLASSES[int(label)] / f"{index:05}.png")


def _fit(network: nn.Module, images: Bytes, labels: NDArray[np.int64], epochs: int) -> None:
    """SGD with one cycle of the learning rate; mirrored and shifted images; forward passes in bfloat16."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    batches = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=epochs * batches, pct_start=0.25)
    for epoch in range(epochs):
        began, total = time.monotonic(), 0.0
        for rows in torch.randperm(len(images))[: batches * BATCH].reshape(batches, BATCH).numpy():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = network(_prepared(_varied(_tensor(images[rows]))))
                loss = functional.cross_entropy(logits, torch.from_numpy(labels[rows]).long(), label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        _say(f"epoch {epoch + 1} of {epochs}: loss {total / batches:.3f}, {time.monotonic() - began:.0f} s")


def _tensor(images: Bytes) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def _varied(images: Tensor) -> Tensor:
    """Half of the images mirrored, each batch shifted by up to 3 pixels."""
    across, down = (int(step) for step in torch.randint(-3, 4, (2,)))
    moved = functional.pad(images, (3, 3, 3, 3), mode="reflect")[:, :, 3 + down : 35 + down, 3 + across : 35 + across]
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, moved, moved.flip(3))


def _prepared(images: Tensor) -> Tensor:
    """What the network is trained on, and what `explaind new` puts in front of it: resized, then normalised."""
    resized = functional.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
    mean, deviation = (torch.tensor(values).reshape(3, 1, 1) for values in (MEAN, DEVIATION))
    return ((resized - mean) / deviation).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _accuracy(network: nn.Module, images: Bytes, labels: NDArray[np.int64]) -> float:
    network.eval()
    right = [
        network(_prepared(_tensor(images[start : start + 250]))).argmax(dim=1).numpy() == labels[start : start + 250]
        for start in range(0, len(images), 250)
    ]
    return float(np.concatenate(right).mean())


def _export(network: nn.Module, path: Path) -> None:
    plain = network.to(memory_format=torch.contiguous_format).eval().requires_grad_(False)
    example = torch.zeros(2, 3, SIDE, SIDE)
    program = torch.export.export(plain, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)
    mean, deviation = (",".join(map(str, values)) for values in (MEAN, DEVIATION))
    _say(
        f"explaind new resnet18_cifar10 --classifier {path} --images {path.parent / 'images'} "
        f"--classes {path.parent / 'classes.txt'} --input-size {SIDE} --mean {mean} --deviation {deviation}"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
