"""networks.json: what networks a bundle holds, as data. The one description that all backends read.

No torch and no onnxruntime here; `torch_networks.build` turns the layer tables into modules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from explaind.errors import BundleInvalid

FILE_NAME = "networks.json"
WEIGHTS = "weights.safetensors"
CLASSIFIER_GRAPH = "classifier.onnx"
GRADIENT_GRAPH = "classifier_gradient.onnx"

Layers = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceTable:
    """One latent space of D = latents. trunk: images → features (B, features), from which two linear heads give
    mean and log variance (B, D). decoder: codes (B, D) → images in [0, 1]. roles: `morphing`, `ranking`."""

    roles: tuple[str, ...]
    latents: int
    features: int
    trunk: Layers
    decoder: Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """image_shape: (C, H, W). classes: K. classifier: images (B, C, H, W) → logits (B, K).
    graphs: the ONNX files of the bundle; one that is listed must be there."""

    image_shape: tuple[int, int, int]
    classes: int
    classifier: Layers
    spaces: Mapping[str, SpaceTable]
    graphs: tuple[str, ...] = ()


def encoder_graph(space: str) -> str:
    return f"{space}_encoder.onnx"


def decoder_graph(space: str) -> str:
    return f"{space}_decoder.onnx"


def morph_graph(space: str) -> str:
    return f"{space}_morph_gradient.onnx"


def write(folder: Path, networks: Networks) -> None:
    (folder / FILE_NAME).write_text(text(networks), encoding="utf-8", newline="\n")


def text(networks: Networks) -> str:
    """Keys sorted, so that equal networks have equal bytes."""
    return json.dumps(asdict(networks), sort_keys=True, indent=1) + "\n"


def read(folder: Path) -> Networks:
    """Raises BundleInvalid where the file is missing, no JSON or lacks a key."""
    path = folder / FILE_NAME
    try:
        return _networks(json.loads(path.read_bytes()))
    except FileNotFoundError as exc:
        raise BundleInvalid(f"{path} is missing: copy the bundle again or build it with `explaind train`.") from exc
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BundleInvalid(
            f"{path} does not describe networks ({type(exc).__name__}: {exc}): "
            "copy the bundle again or build it with `explaind train`."
        ) from exc


def _networks(value: Mapping[str, Any]) -> Networks:
    channels, height, width = (int(size) for size in value["image_shape"])
    return Networks(
        image_shape=(channels, height, width),
        classes=int(value["classes"]),
        classifier=_layers(value["classifier"]),
        spaces={name: _space(space) for name, space in value["spaces"].items()},
        graphs=tuple(_graph(name) for name in value["graphs"]),
    )


def _graph(name: str) -> str:
    if Path(name).name != name:
        raise ValueError(f"the graph {name!r} does not lie in the bundle")
    return name


def _space(value: Mapping[str, Any]) -> SpaceTable:
    return SpaceTable(
        roles=tuple(str(role) for role in value["roles"]),
        latents=int(value["latents"]),
        features=int(value["features"]),
        trunk=_layers(value["trunk"]),
        decoder=_layers(value["decoder"]),
    )


def _layers(value: list[Mapping[str, Any]]) -> Layers:
    return tuple(dict(layer) for layer in value)
