"""labels.toml: what people call the latents, and of which encoder (DESIGN §3.1).

    [ranking]
    encoder = "<SHA-256 of the encoder's parameters>"

    [[ranking.factors]]
    dimensions = [3]
    label = "slant"
    confidence = "high"

A retrained encoder permutes its latents, so labels hold only for the encoder whose digest they carry.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from explaind.errors import BundleInvalid
from explaind.explanations.types import Factor, LabelConfidence

FILE_NAME = "labels.toml"


@dataclass(frozen=True, slots=True)
class SpaceLabels:
    """The named factors of one latent space and the digest of the encoder they describe."""

    encoder: str
    factors: tuple[Factor, ...]


def encoder_digest(parameters: Mapping[str, NDArray[np.float32]]) -> str:
    """SHA-256 (hex) of an encoder's folded parameters: names, shapes and little-endian float32 bytes, by name."""
    digest = hashlib.sha256()
    for name in sorted(parameters):
        array = np.ascontiguousarray(parameters[name], dtype="<f4")
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def encoder_digest_in(weights: Path, space: str) -> str:
    """The digest of the encoder whose parameters are `<space>.encoder.*` in a safetensors file.

    Raises BundleInvalid where the file is unreadable or holds no such encoder.
    """
    prefix = f"{space}.encoder."
    try:
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise BundleInvalid(f"{weights} cannot be read: build the bundle again with `explaind train`.") from error
    parameters = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
    if not parameters:
        raise BundleInvalid(f"{weights} holds no {prefix}*: build the bundle again with `explaind train`.")
    return encoder_digest(parameters)


def parse_labels(path: Path) -> dict[str, SpaceLabels]:
    """Labels by latent space; empty where there is no file. Raises BundleInvalid naming the table that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BundleInvalid(f"{path} cannot be read as TOML ({error}): correct it.") from error
    return {space: _space_labels(path, space, table) for space, table in content.items()}


def format_labels(spaces: Mapping[str, SpaceLabels]) -> str:
    """The text of labels.toml, such that `parse_labels` gives the same back."""
    return "\n".join(_space_text(name, labels) for name, labels in spaces.items())


def factors_of(latent_count: int, named: SpaceLabels | None) -> tuple[Factor, ...]:
    """A factor for every dimension, in the order of the first one; `z17` where nobody has named it.

    named must be the labels of this very encoder.
    """
    factors = list(named.factors) if named else []
    taken = {dimension for factor in factors for dimension in factor.dimensions}
    factors += [Factor(dimensions=(d,), label=f"z{d}") for d in range(latent_count) if d not in taken]
    return tuple(sorted(factors, key=lambda factor: factor.dimensions[0]))


def misfit(named: SpaceLabels, latent_count: int, encoder: str) -> str:
    """Why these labels cannot be used for an encoder; empty where they can."""
    if named.encoder != encoder:
        return "they describe another encoder (it was retrained)"
    beyond = [d for factor in named.factors for d in factor.dimensions if d >= latent_count]
    return f"there is no latent {beyond[0]} among {latent_count}" if beyond else ""


def _space_labels(path: Path, space: str, table: object) -> SpaceLabels:
    try:
        if not isinstance(table, dict):
            raise TypeError("not a table")
        factors = tuple(_factor(entry) for entry in table.get("factors", []))
        _check_disjoint(factors)
        return SpaceLabels(str(table["encoder"]), factors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleInvalid(f"{path}: [{space}] is malformed ({error}): correct it.") from error


def _factor(entry: Mapping[str, object]) -> Factor:
    dimensions = entry["dimensions"]
    if not isinstance(dimensions, list) or not dimensions:
        raise ValueError("dimensions must be a list of latents")
    if any(type(d) is not int or d < 0 for d in dimensions):
        raise ValueError("dimensions must be integers from 0 on")
    label = str(entry["label"]).strip()
    if not label:
        raise ValueError("a label is empty")
    return Factor(
        dimensions=tuple(dimensions),
        label=label,
        confidence=LabelConfidence(str(entry.get("confidence", "unspecified")).lower()),
    )


def _check_disjoint(factors: tuple[Factor, ...]) -> None:
    dimensions = [d for factor in factors for d in factor.dimensions]
    if len(set(dimensions)) != len(dimensions):
        raise ValueError("a latent is named twice")


def _space_text(name: str, labels: SpaceLabels) -> str:
    factors = "".join(
        f"\n[[{name}.factors]]\ndimensions = {list(factor.dimensions)}\n"
        f"label = {json.dumps(factor.label, ensure_ascii=False)}\nconfidence = {json.dumps(factor.confidence.value)}\n"
        for factor in labels.factors
    )
    return f"[{name}]\nencoder = {json.dumps(labels.encoder)}\n{factors}"
