"""The handlers as TorchServe loads them: by file, one class, a whole batch at once, errors item by item."""

from __future__ import annotations

import inspect
import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explaind.backends import torch as torch_backend
from explaind.backends import torchserve_batch
from explaind.backends import torchserve_payload as wire
from explaind.backends.bundle_models import BundleModels
from explaind.backends.torchserve_batch import Operation, answer_batch
from explaind.errors import BackendUnavailable, InvalidRequest, ParameterOutOfRange, ShapeMismatch
from explaind.explanations.models import FloatArray
from tests.untrained_archives import write_untrained

CLASSES = {"classifier": "ClassifierHandler", "vae": "VaeHandler"}


@dataclass
class Context:
    """What a handler reads of TorchServe's context."""

    system_properties: Mapping[str, Any]
    model_yaml_config: Mapping[str, Any] = field(default_factory=lambda: {"handler": {"threads": 1}})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def models(bundle: Path) -> BundleModels:
    return torch_backend.open_bundle(bundle, threads=1)


@pytest.fixture(scope="module")
def handlers(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {role: _load(bundle, role, tmp_path_factory.mktemp(role)) for role in CLASSES}


def _load(bundle: Path, role: str, folder: Path) -> Any:
    """From the extracted archive, with TorchServe's own rule: exactly one class is defined in the file."""
    with zipfile.ZipFile(bundle / f"untrained-{role}.mar") as archive:
        archive.extractall(folder)
    spec = spec_from_file_location(f"{role}_handler", folder / f"{role}_handler.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    (kind,) = (c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__)
    assert kind.__name__ == CLASSES[role]
    handler: Any = kind()
    handler.initialize(Context({"model_dir": str(folder), "gpu_id": None}))
    return handler


def _item(operation: str, arrays: Mapping[str, Any], **text: str) -> dict[str, bytearray]:
    """As TorchServe hands it over: every value a bytearray."""
    fields = {key: value.encode() for key, value in {"operation": operation, **text}.items()}
    return {key: bytearray(value) for key, value in {**fields, "payload": wire.encode_arrays(arrays)}.items()}


def _answer(handler: Any, *items: Mapping[str, Any]) -> list[bytes]:
    replies: list[bytes] = handler.handle(list(items), None)
    assert len(replies) == len(items)
    return replies


def _images(rows: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).random((rows, 1, 28, 28), np.float32)


def _weights(rows: int) -> FloatArray:
    return np.random.default_rng(1).standard_normal((rows, 10)).astype(np.float32)


def _codes(rows: int, latents: int = 100) -> FloatArray:
    return np.random.default_rng(2).standard_normal((rows, latents)).astype(np.float32)


def test_predict_and_both_gradients_are_the_networks_own(handlers: dict[str, Any], models: BundleModels) -> None:
    images, weights = _images(3), _weights(3)
    arrays = {"images": images, "weights": weights}
    replies = _answer(
        handlers["classifier"],
        _item("predict", {"images": images}),
        _item("gradient", arrays),
        _item("gradient", arrays, of="logits"),
    )
    predicted, gradient, of_logits = (wire.decode_reply(reply) for reply in replies)
    expected, probabilities = models.classifier_gradient.probability_gradient(images, weights)  # type: ignore[union-attr]
    np.testing.assert_allclose(predicted["logits"], models.classifier.logits(images), atol=1e-6)
    np.testing.assert_allclose(gradient["gradient"], expected, atol=1e-6)
    np.testing.assert_allclose(gradient["probabilities"], probabilities, atol=1e-6)
    np.testing.assert_allclose(of_logits["logits"], predicted["logits"], atol=1e-6)
    assert set(of_logits) == {"gradient", "logits"}
    assert not np.allclose(of_logits["gradient"], expected)


@pytest.mark.parametrize(("space", "latents"), [("morphing", 100), ("ranking", 12)])
def test_encode_and_decode_are_the_spaces_own(
    handlers: dict[str, Any], models: BundleModels, space: str, latents: int
) -> None:
    images, codes = _images(2), _codes(2, latents)
    replies = _answer(
        handlers["vae"],
        _item("encode", {"images": images}, latent_space=space),
        _item("decode", {"codes": codes}, latent_space=space),
    )
    encoded, decoded = (wire.decode_reply(reply) for reply in replies)
    mean, deviation = models.autoencoders[space].encode(images)
    np.testing.assert_allclose(encoded["mean"], mean, atol=1e-6)
    np.testing.assert_allclose(encoded["deviation"], deviation, atol=1e-6)
    np.testing.assert_allclose(decoded["images"], models.autoencoders[space].decode(codes), atol=1e-6)


def test_the_pullback_after_the_logit_gradient_is_the_morph_gradient(
    handlers: dict[str, Any], models: BundleModels
) -> None:
    codes, weights = _codes(4), _weights(4)
    images = models.autoencoders["morphing"].decode(codes)
    (reply,) = _answer(handlers["classifier"], _item("gradient", {"images": images, "weights": weights}, of="logits"))
    cotangent = wire.decode_reply(reply)["gradient"]
    (pulled,) = _answer(
        handlers["vae"], _item("decode_vjp", {"codes": codes, "cotangent": cotangent}, latent_space="morphing")
    )
    expected, _ = models.morph_gradients["morphing"].logit_gradient(codes, weights)
    np.testing.assert_allclose(wire.decode_reply(pulled)["gradient"], expected, atol=1e-6)


def test_a_mixed_batch_answers_each_item_as_if_it_were_alone(handlers: dict[str, Any]) -> None:
    items = [
        _item("encode", {"images": _images(2, 3)}, latent_space="ranking"),
        _item("decode", {"codes": _codes(5)}, latent_space="morphing"),
        _item("encode", {"images": _images(1, 4)}, latent_space="morphing"),
        _item("encode", {"images": _images(3, 5)}, latent_space="ranking"),
    ]
    together = [wire.decode_reply(reply) for reply in _answer(handlers["vae"], *items)]
    for item, reply in zip(items, together, strict=True):
        alone = wire.decode_reply(_answer(handlers["vae"], item)[0])
        for name, array in alone.items():
            np.testing.assert_allclose(reply[name], array, atol=1e-6)


def test_a_group_is_one_forward_pass() -> None:
    rows: list[int] = []

    def double(images: FloatArray) -> list[FloatArray]:
        rows.append(len(images))
        return [2 * images]

    operations = {("predict", "", ""): Operation(inputs={"images": (3,)}, outputs=("doubled",), run=double)}
    sent = [np.full((count, 3), count, np.float32) for count in (1, 4, 2)]
    replies = answer_batch([_item("predict", {"images": array}) for array in sent], operations)
    assert rows == [7]
    for array, reply in zip(sent, replies, strict=True):
        np.testing.assert_array_equal(wire.decode_reply(reply)["doubled"], 2 * array)


BAD: Mapping[str, tuple[dict[str, bytearray], type[InvalidRequest], str]] = {
    "unknown operation": (_item("train", {"images": _images(1)}), ParameterOutOfRange, "operation"),
    "no operation": ({"payload": bytearray(wire.encode_arrays({}))}, ParameterOutOfRange, "operation"),
    "another archive's operation": (_item("encode", {"images": _images(1)}), ParameterOutOfRange, "operation"),
    "unknown output": (
        _item("gradient", {"images": _images(1), "weights": _weights(1)}, of="odds"), ParameterOutOfRange, "of",
    ),
    "no payload": ({"operation": bytearray(b"predict")}, InvalidRequest, "payload"),
    "payload of text": (
        {"operation": bytearray(b"predict"), "payload": bytearray(b"hello there")}, InvalidRequest, "payload",
    ),
    "missing array": (_item("gradient", {"images": _images(1)}), InvalidRequest, "payload"),
    "wrong shape": (_item("predict", {"images": np.zeros((1, 3, 28, 28))}), ShapeMismatch, "images"),
    "no batch axis": (_item("predict", {"images": np.zeros((1, 28, 28))}), ShapeMismatch, "images"),
    "no rows": (_item("predict", {"images": np.zeros((0, 1, 28, 28))}), ShapeMismatch, "images"),
    "rows that differ": (
        _item("gradient", {"images": _images(2), "weights": _weights(3)}), ShapeMismatch, "payload",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_item_is_its_own_error_and_the_others_are_served(handlers: dict[str, Any], name: str) -> None:
    item, kind, at = BAD[name]
    good = _item("predict", {"images": _images(2)})
    first, bad, last = _answer(handlers["classifier"], good, item, good)
    with pytest.raises(kind) as caught:
        wire.decode_reply(bad)
    assert caught.value.field == at
    assert first == last
    assert wire.decode_reply(first)["logits"].shape == (2, 10)


def test_an_unknown_latent_space_is_named(handlers: dict[str, Any]) -> None:
    (reply,) = _answer(handlers["vae"], _item("encode", {"images": _images(1)}, latent_space="imaginary"))
    with pytest.raises(ParameterOutOfRange, match="'morphing', 'ranking'") as caught:
        wire.decode_reply(reply)
    assert caught.value.field == "latent_space"


def test_a_failed_pass_fails_its_group_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail(images: FloatArray) -> list[FloatArray]:
        raise RuntimeError("secret detail")

    operations = {
        ("predict", "", ""): Operation(inputs={"images": (1,)}, outputs=("same",), run=lambda images: [images]),
        ("encode", "", ""): Operation(inputs={"images": (1,)}, outputs=("mean",), run=fail),
    }
    one = {"images": np.ones((1, 1), np.float32)}
    bad, good = answer_batch([_item("encode", one, request_id="r-7"), _item("predict", one)], operations)
    np.testing.assert_array_equal(wire.decode_reply(good)["same"], one["images"])
    with pytest.raises(BackendUnavailable) as caught:
        wire.decode_reply(bad)
    assert "secret" not in caught.value.message
    assert "r-7" in caplog.text
    assert "secret detail" in caplog.text  # the log may say why


def test_the_log_has_the_request_id_and_nothing_of_the_image(
    handlers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, torchserve_batch.__name__)
    image = np.full((1, 1, 28, 28), np.frombuffer(b"SECR", np.float32)[0])
    _answer(handlers["classifier"], _item("predict", {"images": image}, request_id="r-1\nforged line"))
    assert "r-1?forged line: predict, 1 rows" in caplog.text
    assert "SECR" not in caplog.text


def test_an_empty_batch_has_no_answers(handlers: dict[str, Any]) -> None:
    assert handlers["vae"].handle(None, None) == []


@pytest.mark.gpu
def test_a_worker_with_a_gpu_computes_the_same(bundle: Path, models: BundleModels, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    from explaind.backends.torchserve_networks import classifier_operations, prepare_torch

    with zipfile.ZipFile(bundle / "untrained-classifier.mar") as archive:
        archive.extractall(tmp_path)
    operations = classifier_operations(tmp_path, prepare_torch({}, 0))
    images = _images(8)
    (reply,) = answer_batch([_item("predict", {"images": images})], operations)
    np.testing.assert_allclose(wire.decode_reply(reply)["logits"], models.classifier.logits(images), atol=1e-4)
