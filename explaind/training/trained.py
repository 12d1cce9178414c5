"""What training leaves behind: folded networks in a run folder, each with its table, digest and figures.

A run folder has, for each network, `<network>.safetensors` (the bundle's parameter names) and `<network>.json`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from explaind.backends.torch_networks import Encoder, build, build_encoder, fold_batch_norm, fold_encoder
from explaind.errors import BundleInvalid
from explaind.training.architectures import AutoencoderTable, ClassifierTable
from explaind.training.checkpoints import write_tensors
from explaind.training.foreign.adoption import load_adopted
from explaind.training.foreign.preparation import PreparedClassifier
from explaind.training.objectives import Vae

CLASSIFIER = "classifier"
JUDGE = "judge"


class SpaceNetworks(NamedTuple):
    """encoder: images → (mean, deviation); decoder: codes → images. Folded, in eval mode."""

    encoder: Encoder
    decoder: nn.Sequential


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord:
    """digest: of all that decided the weights; a fit with the same digest need not be repeated.
    table: JSON of the folded ClassifierTable or AutoencoderTable. figures: how the fit went."""

    digest: str
    table: Mapping[str, Any]
    figures: Mapping[str, float]
    validation: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A bundle's networks. tables: by network (`classifier` and each space), JSON-able. judge: verifies morphs,
    is in no bundle."""

    classifier: nn.Module
    spaces: Mapping[str, SpaceNetworks]
    judge: nn.Module | None
    tables: Mapping[str, Mapping[str, Any]]
    records: Mapping[str, NetworkRecord]

    def parameters(self) -> dict[str, Tensor]:
        """All weights of the bundle by name: `classifier.0.weight`, `morphing.encoder.trunk.0.weight` … Not those of a
        foreign classifier, which stand in its graphs."""
        foreign = isinstance(self.classifier, PreparedClassifier)
        weights = {} if foreign else _prefixed(self.classifier, f"{CLASSIFIER}.")
        for name, space in self.spaces.items():
            weights |= _prefixed(space.encoder, f"{name}.encoder.") | _prefixed(space.decoder, f"{name}.decoder.")
        return weights


def fold_classifier(network: nn.Sequential, table: ClassifierTable) -> tuple[nn.Sequential, ClassifierTable]:
    folded, layers = fold_batch_norm(network, table.layers)
    return folded, ClassifierTable(image_shape=table.image_shape, classes=table.classes, layers=layers)


def fold_autoencoder(network: Vae, table: AutoencoderTable) -> tuple[SpaceNetworks, AutoencoderTable]:
    encoder, trunk = fold_encoder(network.encoder, table.trunk)
    decoder, layers = fold_batch_norm(network.decoder, table.decoder)
    folded = AutoencoderTable(
        image_shape=table.image_shape, latents=table.latents, features=table.features, trunk=trunk, decoder=layers
    )
    return SpaceNetworks(encoder, decoder), folded


def table_json(table: ClassifierTable | AutoencoderTable) -> dict[str, Any]:
    """The table as JSON reads it back: lists, no tuples."""
    value: dict[str, Any] = json.loads(json.dumps(asdict(table)))
    return value


def save_network(run: Path, name: str, network: nn.Sequential | SpaceNetworks, record: NetworkRecord) -> None:
    """Weights first, record last, each renamed into place: a killed run leaves no record without its weights, and no
    older record beside newer weights."""
    run.mkdir(parents=True, exist_ok=True)
    if isinstance(network, SpaceNetworks):
        weights = _prefixed(network.encoder, "encoder.") | _prefixed(network.decoder, "decoder.")
    else:
        weights = _prefixed(network, "")
    temporary = run / f"{name}.partial"
    write_tensors(weights, temporary)
    (run / f"{name}.json").unlink(missing_ok=True)
    temporary.replace(run / f"{name}.safetensors")
    save_record(run, name, record)


def save_record(run: Path, name: str, record: NetworkRecord) -> None:
    temporary = run / f"{name}.partial"
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(run / f"{name}.json")


def load_record(run: Path, name: str) -> NetworkRecord | None:
    """None where the network has not been trained in this folder."""
    path = run / f"{name}.json"
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return NetworkRecord(**{**value, "validation": tuple(value["validation"])})
    except (ValueError, TypeError, KeyError) as exc:
        raise BundleInvalid(f"{path} is damaged ({exc}); delete it and train again.") from exc


def load_classifier(run: Path, name: str = CLASSIFIER) -> nn.Module:
    """Ours, or a foreign one behind its preparation."""
    record = _required(run, name)
    if "program" in record.table:
        return load_adopted(run, record.table)
    network = build(record.table["layers"])
    _load_weights(network, run / f"{name}.safetensors", "")
    return network.eval()


def load_space(run: Path, name: str) -> SpaceNetworks:
    table = _required(run, name).table
    encoder = build_encoder(table["trunk"], table["features"], table["latents"])
    decoder = build(table["decoder"])
    _load_weights(encoder, run / f"{name}.safetensors", "encoder.")
    _load_weights(decoder, run / f"{name}.safetensors", "decoder.")
    return SpaceNetworks(encoder.eval(), decoder.eval())


def load_trained(run: Path, spaces: Collection[str] | None = None) -> Trained:
    """The folded networks of a run folder, in eval mode.

    spaces: names of the latent spaces to load; None: all there are. A recipe that has dropped or renamed one leaves
    the old one's weights in the folder.
    Raises BundleInvalid where the classifier has not been trained there or a file is damaged.
    """
    _required(run, CLASSIFIER)
    there = {path.stem for path in run.glob("*.safetensors")}
    wanted = there if spaces is None else there & {JUDGE, *spaces}
    names = sorted(wanted | {CLASSIFIER})
    records = {name: record for name in names if (record := load_record(run, name)) is not None}
    loaded = {name: load_space(run, name) for name, record in records.items() if "trunk" in record.table}
    return Trained(
        classifier=load_classifier(run),
        spaces=loaded,
        judge=load_classifier(run, JUDGE) if JUDGE in records else None,
        tables={name: records[name].table for name in (CLASSIFIER, *loaded)},
        records=records,
    )


def _required(run: Path, name: str) -> NetworkRecord:
    record = load_record(run, name)
    if record is None:
        raise BundleInvalid(f"There is no trained {name} in {run}; run `explaind train` first.")
    return record


def _prefixed(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value.detach().contiguous() for name, value in network.state_dict().items()}


def _load_weights(network: nn.Module, path: Path, prefix: str) -> None:
    try:
        weights = load_file(path)
        chosen = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        network.load_state_dict(chosen)
    except (OSError, SafetensorError, RuntimeError) as exc:
        raise BundleInvalid(f"The weights {path} are missing or damaged ({exc}); delete them and train again.") from exc
