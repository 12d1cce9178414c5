"""The manifest of a bundle: what it holds, for what, and the SHA-256 of every file (DESIGN §5).

The digest of a bundle is the SHA-256 of its manifest's bytes, so it stands for every file and every statement in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from explaind.bundles import labels
from explaind.errors import BundleInvalid

FILE_NAME = "manifest.json"
SCHEMA_VERSION: Literal[1] = 1
NETWORKS = "networks.json"
WEIGHTS = "weights.safetensors"
REQUIRED_FILES = (NETWORKS, WEIGHTS, "reference.npz")
REBUILD = "copy the bundle again or build it with `explaind train`"

Role = Literal["morphing", "ranking"]
ExplanationName = Literal["prediction", "latent_ranking", "anomaly_score", "path_mask"]


def _inside_the_bundle(name: str) -> str:
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or name != str(path)
    if unsafe or name in ("", ".", FILE_NAME):
        raise ValueError(f"the file name {name!r} does not lie inside the bundle")
    return name


FileName = Annotated[str, AfterValidator(_inside_the_bundle)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A name becomes a folder, a metric's label and a health key: one plain path component.
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Space(_Frozen):
    """A latent space of D = latent_count latents. encoder_digest: what labels refer to (see `labels`)."""

    name: PlainName
    roles: tuple[Role, ...]
    latent_count: int = Field(ge=1)
    encoder_digest: Digest


class Preprocessing(_Frozen):
    """Values in [low, high]; G of the path mask: a Gaussian of blur_sigma pixels cut at blur_radius (DESIGN §3.4)."""

    low: float = 0.0
    high: float = 1.0
    blur_sigma: float = Field(gt=0)
    blur_radius: int = Field(ge=1)

    @classmethod
    def of_height(cls, height: int) -> Self:
        """σ = 1.5·H/28 pixels, radius ⌈2.5σ⌉."""
        sigma = 1.5 * height / 28
        return cls(blur_sigma=sigma, blur_radius=-int(-2.5 * sigma // 1))


class Manifest(_Frozen):
    """image_shape: (C, H, W). parity: worst absolute difference from PyTorch by graph. calibration_size: held-out
    images the p-values are calibrated on, 0 without an anomaly score. files: SHA-256 by name."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: PlainName
    version: PlainName
    description: str
    class_names: tuple[str, ...] = Field(min_length=2)
    image_shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    spaces: tuple[Space, ...]
    preprocessing: Preprocessing
    backends: tuple[str, ...]
    parity: dict[str, float]
    calibration_size: int = Field(ge=0)
    recipe_digest: str
    explanations: tuple[ExplanationName, ...]
    files: dict[FileName, Digest]

    def space_with_role(self, role: Role) -> Space | None:
        """The first space of that role; None where there is none."""
        return next((space for space in self.spaces if role in space.roles), None)

    def space_named(self, name: str) -> Space | None:
        return next((space for space in self.spaces if space.name == name), None)


def write(
    folder: Path,
    *,
    name: str,
    version: str,
    description: str,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    spaces: Mapping[str, tuple[int, Sequence[Role]]],
    parity: Mapping[str, float],
    recipe_digest: str,
    explanations: Sequence[ExplanationName],
    backends: Sequence[str] = ("onnx", "torchserve", "torch"),
    calibration_size: int = 0,
) -> Manifest:
    """Describes the files now in `folder` and writes manifest.json, last of all.

    spaces: latent count and roles by space name; each encoder's digest is read from weights.safetensors.
    Raises BundleInvalid where a required file is missing or a statement is malformed.
    """
    files = {path.relative_to(folder).as_posix(): file_digest(path) for path in files_in(folder)}
    content: dict[str, object] = {
        "name": name,
        "version": version,
        "description": description,
        "class_names": tuple(class_names),
        "image_shape": image_shape,
        "spaces": _described_spaces(folder, spaces),
        "preprocessing": Preprocessing.of_height(image_shape[1]),
        "backends": tuple(backends),
        "parity": {graph: float(worst) for graph, worst in parity.items()},
        "calibration_size": calibration_size,
        "recipe_digest": recipe_digest,
        "explanations": tuple(explanations),
        "files": files,
    }
    return save(folder, _validated(folder, content))


def save(folder: Path, manifest: Manifest) -> Manifest:
    """Writes manifest.json as it is, keys sorted, so that equal content has equal bytes."""
    text = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, indent=1, ensure_ascii=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8", newline="\n")
    return manifest


def read(folder: Path) -> Manifest:
    """Raises BundleInvalid: missing, not JSON, unknown schema version, malformed. Does not look at the files."""
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BundleInvalid(f"{path} is missing: {REBUILD}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleInvalid(f"{path} cannot be read as JSON: {REBUILD}.") from error
    _check_schema(path, content)
    return _validated(folder, content)


def verify(folder: Path, manifest: Manifest) -> None:
    """Raises BundleInvalid naming the first file that is missing, altered, or there without being listed."""
    for name, expected in sorted(manifest.files.items()):
        path = folder / name
        if not path.is_file():
            raise BundleInvalid(f"{path} is missing: {REBUILD}.")
        if file_digest(path) != expected:
            raise BundleInvalid(f"{path} was altered, its SHA-256 is not the manifest's: {REBUILD}.")
    for path in files_in(folder):
        if path.relative_to(folder).as_posix() not in manifest.files:
            raise BundleInvalid(f"{path} is not listed in the manifest: remove it or build the bundle again.")


def digest(folder: Path) -> str:
    """SHA-256 (hex) of manifest.json: the bundle's digest."""
    return file_digest(folder / FILE_NAME)


def file_digest(path: Path) -> str:
    """SHA-256 (hex). Raises BundleInvalid where the file cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BundleInvalid(f"{path} cannot be read: check its permissions.") from error


def files_in(folder: Path) -> list[Path]:
    """Every file of a bundle save the manifest and hidden ones, sorted."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).as_posix() != FILE_NAME)
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _described_spaces(folder: Path, spaces: Mapping[str, tuple[int, Sequence[Role]]]) -> tuple[Space, ...]:
    return tuple(
        Space(
            name=name,
            roles=tuple(roles),
            latent_count=count,
            encoder_digest=labels.encoder_digest_in(folder / WEIGHTS, name),
        )
        for name, (count, roles) in spaces.items()
    )


def _check_schema(path: Path, content: object) -> None:
    if not isinstance(content, dict):
        raise BundleInvalid(f"{path} is not a JSON object: {REBUILD}.")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleInvalid(
            f"{path} has schema version {version!r}, this explaind reads {SCHEMA_VERSION}: "
            "build the bundle again with this version or install the one that built it."
        )


def _validated(folder: Path, content: Mapping[str, object]) -> Manifest:
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleInvalid(f"{folder / FILE_NAME}: {where}: {first['msg']}: {REBUILD}.") from error
    for name in REQUIRED_FILES:
        if name not in manifest.files:
            raise BundleInvalid(f"{folder / FILE_NAME} does not list {name}, which every bundle has: {REBUILD}.")
    return manifest
