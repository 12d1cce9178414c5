"""A small bundle with random weights, exported in seconds: every layer kind, a stride that does not divide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from explaind.backends.torch_networks import Layers, build, build_encoder
from explaind.explanations.types import FloatArray, Reference
from explaind.training.architectures import AutoencoderTable, ClassifierTable
from explaind.training.export import BundleDescription, export_bundle
from explaind.training.trained import SpaceNetworks, Trained, table_json

IMAGE_SHAPE = (2, 13, 13)
CLASSES = 3
LATENTS = 4
CLASSIFIER: Layers = (
    {"kind": "conv", "in": 2, "out": 8, "kernel": 4, "stride": 2, "padding": 1, "bias": True},
    {"kind": "leaky_relu", "slope": 0.1},
    {"kind": "max_pool", "kernel": 2},
    {"kind": "flatten"},
    {"kind": "linear", "in": 72, "out": 16, "bias": True},
    {"kind": "relu"},
    {"kind": "linear", "in": 16, "out": CLASSES, "bias": True},
)
TRUNK: Layers = (
    {"kind": "conv", "in": 2, "out": 8, "kernel": 3, "stride": 3, "padding": 1, "bias": True},
    {"kind": "relu"},
    {"kind": "flatten"},
)
DECODER: Layers = (
    {"kind": "linear", "in": LATENTS, "out": 72, "bias": True},
    {"kind": "reshape", "shape": [8, 3, 3]},
    {"kind": "upsample", "factor": 2},
    {"kind": "conv_transpose", "in": 8, "out": 8, "kernel": 3, "stride": 2, "padding": 1, "bias": True},
    {"kind": "relu"},
    {"kind": "conv_transpose", "in": 8, "out": 2, "kernel": 3, "stride": 1, "padding": 0, "bias": True},
    {"kind": "sigmoid"},
)


def untrained(seed: int = 0) -> Trained:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = build(CLASSIFIER).eval()
        space = SpaceNetworks(build_encoder(TRUNK, 200, LATENTS).eval(), build(DECODER).eval())
    tables = {
        "classifier": table_json(ClassifierTable(image_shape=IMAGE_SHAPE, classes=CLASSES, layers=CLASSIFIER)),
        "morphing": table_json(
            AutoencoderTable(image_shape=IMAGE_SHAPE, latents=LATENTS, features=200, trunk=TRUNK, decoder=DECODER)
        ),
    }
    return Trained(classifier=classifier, spaces={"morphing": space}, judge=None, tables=tables, records={})


def images(count: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).random((count, *IMAGE_SHAPE), dtype=np.float32)


def export_untrained(folder: Path, trained: Trained | None = None) -> Path:
    """folder: <model store>/<name>/<version>. A bundle without statistics: it serves predictions and gradients."""
    description = BundleDescription(
        name=folder.parent.name,
        version=folder.name,
        description="random weights",
        class_names=("a", "b", "c"),
        roles={"morphing": ("morphing",)},
        recipe_digest="0" * 64,
    )
    export_bundle(
        trained or untrained(),
        folder,
        description=description,
        held_out=images(20, seed=1),
        statistics=Reference(rankings={}, anomaly=None, morph=None),
    )
    return folder
