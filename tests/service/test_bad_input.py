"""Every bad input of the brief over real gRPC against the committed bundle: a typed error that names the field, and
the next call served."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from explaind.service.server import Server
from explaind.settings import Settings
from explaind.v1 import explanation_pb2, explanation_service_pb2, explanation_service_pb2_grpc

ROOT = Path(__file__).parents[2]
SESSION = {"loop_scope": "module"}
pytestmark = pytest.mark.asyncio(**SESSION)

FLOAT32 = explanation_pb2.DATA_TYPE_FLOAT32
UINT8 = explanation_pb2.DATA_TYPE_UINT8
Mask = explanation_pb2.PathMaskParameters
Ranking = explanation_pb2.LatentRankingParameters
Anomaly = explanation_pb2.AnomalyScoreParameters


# ---- images -----------------------------------------------------------------------------------------------------


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def digit() -> np.ndarray:
    with np.load(ROOT / "tests/data/images.npz") as data:
        return data["mnist"][0]


def bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """A PNG of a few kilobytes that would decode to 400 megapixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tensor(array: np.ndarray, **changed: object) -> explanation_pb2.Image:
    fields = {"shape": array.shape, "dtype": FLOAT32, "values": array.astype("<f4").tobytes()}
    return explanation_pb2.Image(tensor=explanation_pb2.Tensor(**(fields | changed)))


def one_pixel(value: float) -> explanation_pb2.Image:
    array = np.zeros((1, 28, 28), dtype=np.float32)
    array[0, 3, 3] = value
    return tensor(array)


def encoded(data: bytes, *, resize: bool = False) -> explanation_pb2.Image:
    return explanation_pb2.Image(encoded=data, resize=resize)


GREY = Image.new("L", (28, 28), 7)
PNG = saved(GREY)
BAD_IMAGES = {
    "nothing": (explanation_pb2.Image(), "INVALID_REQUEST", "image"),
    "no bytes": (encoded(b""), "IMAGE_UNDECODABLE", "image.encoded"),
    "not an image": (encoded(b"%PDF-1.7 hello"), "IMAGE_UNDECODABLE", "image"),
    "truncated": (encoded(PNG[: len(PNG) // 2]), "IMAGE_UNDECODABLE", "image"),
    "signature only": (encoded(PNG[:8]), "IMAGE_UNDECODABLE", "image"),
    "bomb": (encoded(bomb()), "IMAGE_TOO_LARGE", "image"),
    "bomb to resize": (encoded(bomb(), resize=True), "IMAGE_TOO_LARGE", "image"),
    "over 16 MiB": (encoded(PNG + bytes(17 * 1024 * 1024)), "IMAGE_TOO_LARGE", "image"),
    "animated": (
        encoded(saved(GREY, save_all=True, append_images=[Image.new("L", (28, 28), 200)])),
        "IMAGE_UNDECODABLE",
        "image",
    ),
    "16 bits": (encoded(saved(Image.new("I;16", (28, 28)))), "IMAGE_UNDECODABLE", "image"),
    "CMYK": (encoded(saved(Image.new("CMYK", (28, 28)), "JPEG")), "IMAGE_UNDECODABLE", "image"),
    "transparent": (encoded(saved(Image.new("RGBA", (28, 28), (0, 0, 0, 9)))), "IMAGE_UNDECODABLE", "image"),
    "wrong size": (encoded(saved(Image.new("L", (32, 28)))), "SHAPE_MISMATCH", "image"),
    "wrong tensor size": (tensor(np.zeros((1, 27, 28))), "SHAPE_MISMATCH", "image"),
    "three channels": (tensor(np.zeros((3, 28, 28))), "SHAPE_MISMATCH", "image"),
    "NaN": (one_pixel(np.nan), "PIXEL_OUT_OF_RANGE", "image"),
    "infinite": (one_pixel(np.inf), "PIXEL_OUT_OF_RANGE", "image"),
    "above 1": (one_pixel(1.01), "PIXEL_OUT_OF_RANGE", "image"),
    "below 0": (one_pixel(-0.01), "PIXEL_OUT_OF_RANGE", "image"),
    "overflowing shape": (
        tensor(np.zeros((1, 28, 28)), shape=[1 << 32, 1 << 32, 1 << 32]),
        "SHAPE_MISMATCH",
        "image.tensor.shape",
    ),
    "negative shape": (tensor(np.zeros((1, 28, 28)), shape=[-1, -28, 28]), "SHAPE_MISMATCH", "image.tensor.shape"),
    "no dtype": (tensor(np.zeros((1, 28, 28)), dtype=0), "PARAMETER_OUT_OF_RANGE", "image.tensor.dtype"),
}
BAD_PARAMETERS = {
    "no model": ({"model": ""}, "INVALID_REQUEST", "model"),
    "negative top classes": ({"top_classes": -1}, "PARAMETER_OUT_OF_RANGE", "top_classes"),
    "image data type": ({"image_dtype": 7}, "PARAMETER_OUT_OF_RANGE", "image_dtype"),
    "target class": (
        {"latent_ranking": Ranking(target_class=10)},
        "PARAMETER_OUT_OF_RANGE",
        "latent_ranking.target_class",
    ),
    "negative class": ({"path_mask": Mask(self_class=-1)}, "PARAMETER_OUT_OF_RANGE", "path_mask.self_class"),
    "other class": ({"path_mask": Mask(other_class=10)}, "PARAMETER_OUT_OF_RANGE", "path_mask.other_class"),
    "self is other": (
        {"path_mask": Mask(self_class=3, other_class=3)},
        "PARAMETER_OUT_OF_RANGE",
        "path_mask.other_class",
    ),
    "negative steps": ({"path_mask": Mask(step_count=-5)}, "PARAMETER_OUT_OF_RANGE", "path_mask.step_count"),
    "endless steps": ({"path_mask": Mask(step_count=2**31 - 1)}, "PARAMETER_OUT_OF_RANGE", "path_mask.step_count"),
    "negative max steps": ({"path_mask": Mask(max_steps=-1)}, "PARAMETER_OUT_OF_RANGE", "path_mask.max_steps"),
    "sparsity": ({"path_mask": Mask(sparsity=-1.0)}, "PARAMETER_OUT_OF_RANGE", "path_mask.sparsity"),
    "NaN sparsity": ({"path_mask": Mask(sparsity=float("nan"))}, "PARAMETER_OUT_OF_RANGE", "path_mask.sparsity"),
    "weight": (
        {"path_mask": Mask(likelihood_weight=float("inf"))},
        "PARAMETER_OUT_OF_RANGE",
        "path_mask.likelihood_weight",
    ),
    "entropy": (
        {"path_mask": Mask(entropy_threshold=0.0)},
        "PARAMETER_OUT_OF_RANGE",
        "path_mask.entropy_threshold",
    ),
    "solver": ({"path_mask": Mask(solver=77)}, "PARAMETER_OUT_OF_RANGE", "path_mask.solver"),
    "top k": ({"latent_ranking": Ranking(top_k=-1)}, "PARAMETER_OUT_OF_RANGE", "latent_ranking.top_k"),
    "measure": (
        {"latent_ranking": Ranking(measure=explanation_pb2.IMPORTANCE_MEASURE_SHAPLEY)},
        "PARAMETER_OUT_OF_RANGE",
        "latent_ranking.measure",
    ),
    "level": ({"anomaly_score": Anomaly(level=1e-9)}, "PARAMETER_OUT_OF_RANGE", "anomaly_score.level"),
    "NaN level": ({"anomaly_score": Anomaly(level=float("nan"))}, "PARAMETER_OUT_OF_RANGE", "anomaly_score.level"),
}


BAD_TRAVERSALS = {
    "no model": ({"model": ""}, "INVALID_REQUEST", "model"),
    "latent beyond the last": ({"dimension": [12]}, "PARAMETER_OUT_OF_RANGE", "dimension"),
    "negative latent": ({"dimension": [-1]}, "PARAMETER_OUT_OF_RANGE", "dimension"),
    "a latent twice": ({"dimension": [1, 2, 1]}, "PARAMETER_OUT_OF_RANGE", "dimension"),
    "one step": ({"steps": 1}, "PARAMETER_OUT_OF_RANGE", "steps"),
    "no steps": ({"steps": 0}, "PARAMETER_OUT_OF_RANGE", "steps"),
    "endless steps": ({"steps": 2**31 - 1}, "PARAMETER_OUT_OF_RANGE", "steps"),
    "too many images": (
        {"latent_space": "morphing", "dimension": range(100), "steps": 100},
        "PARAMETER_OUT_OF_RANGE",
        "steps",
    ),
    "NaN low": ({"low": float("nan")}, "PARAMETER_OUT_OF_RANGE", "low"),
    "infinite high": ({"high": float("inf")}, "PARAMETER_OUT_OF_RANGE", "high"),
    "low above high": ({"low": 2.0, "high": 1.0}, "PARAMETER_OUT_OF_RANGE", "high"),
    "unknown hold": ({"hold": 9}, "PARAMETER_OUT_OF_RANGE", "hold"),
    "unknown space": ({"latent_space": "made-up"}, "PARAMETER_OUT_OF_RANGE", "latent_space"),
}


# ---- one server for all -----------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", **SESSION)
async def stub():
    server = Server(Settings(port=0, metrics_port=0, model_store=ROOT / "model_store"))
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        service = explanation_service_pb2_grpc.ExplanationServiceStub(channel)
        await warmed(server)
        yield service
    await server.stop(grace_seconds=1.0)


async def warmed(server: Server) -> None:
    import asyncio

    for _ in range(3000):
        if server.serving:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the committed bundle was not served")


def asked(**fields: object) -> explanation_service_pb2.ExplainRequest:
    whole = tensor(digit()[None].astype(np.float32) / 255)
    return explanation_service_pb2.ExplainRequest(**({"model": "mnist", "image": whole} | fields))


async def refused(stub, request, method: str = "Explain") -> tuple[str, str, str]:
    """Code, reason and field; and that the next call is served."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(request, timeout=60)
    answer = rpc_status.from_call(caught.value)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert answer.details[0].Unpack(info)
    field = bad.field_violations[0].field if len(answer.details) > 1 and answer.details[1].Unpack(bad) else ""
    assert (await stub.Explain(asked(), timeout=60)).prediction.class_name
    return caught.value.code().name, info.reason, field


@pytest.mark.parametrize("name", BAD_IMAGES)
async def test_a_bad_image(stub, name):
    image, reason, field = BAD_IMAGES[name]
    assert await refused(stub, asked(image=image)) == ("INVALID_ARGUMENT", reason, field)


@pytest.mark.parametrize("name", BAD_PARAMETERS)
async def test_a_bad_parameter(stub, name):
    fields, reason, field = BAD_PARAMETERS[name]
    assert await refused(stub, asked(**fields)) == ("INVALID_ARGUMENT", reason, field)


@pytest.mark.parametrize("name", BAD_TRAVERSALS)
async def test_a_bad_traversal(stub, name):
    fields, reason, field = BAD_TRAVERSALS[name]
    request = explanation_service_pb2.TraverseLatentsRequest(**({"model": "mnist", "image": one_pixel(1.0)} | fields))
    assert await refused(stub, request, "TraverseLatents") == ("INVALID_ARGUMENT", reason, field)


@pytest.mark.parametrize("name", BAD_IMAGES)
async def test_a_bad_image_of_two_and_of_one(stub, name):
    image, reason, field = BAD_IMAGES[name]
    for place in ("image_a", "image_b"):
        pair = {"image_a": one_pixel(1.0), "image_b": one_pixel(1.0), place: image}
        request = explanation_service_pb2.CompareLatentsRequest(model="mnist", **pair)
        blamed = field.replace("image", place, 1)
        assert await refused(stub, request, "CompareLatents") == ("INVALID_ARGUMENT", reason, blamed)
    request = explanation_service_pb2.TraverseLatentsRequest(model="mnist", image=image)
    assert await refused(stub, request, "TraverseLatents") == ("INVALID_ARGUMENT", reason, field)


async def test_a_bad_comparison(stub):
    pair = {"image_a": one_pixel(1.0), "image_b": one_pixel(1.0)}
    for fields, code, reason in (
        ({"model": ""}, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        ({"model": "other"}, "NOT_FOUND", "MODEL_NOT_FOUND"),
        ({"model_version": "99"}, "NOT_FOUND", "MODEL_NOT_FOUND"),
        ({"latent_space": "made-up"}, "INVALID_ARGUMENT", "PARAMETER_OUT_OF_RANGE"),
    ):
        request = explanation_service_pb2.CompareLatentsRequest(**({"model": "mnist"} | pair | fields))
        assert (await refused(stub, request, "CompareLatents"))[:2] == (code, reason)


@pytest.mark.parametrize("fields", [{"model": "other"}, {"model_version": "99"}, {"model": "../mnist"}], ids=str)
async def test_an_unknown_model(stub, fields):
    assert (await refused(stub, asked(**fields)))[:2] == ("NOT_FOUND", "MODEL_NOT_FOUND")


async def test_a_level_of_many_scores_is_named_as_the_message_names_it(stub):
    request = explanation_service_pb2.ScoreAnomaliesRequest(
        model="mnist",
        encoded=explanation_service_pb2.EncodedImages(images=[b"never looked at"]),
        parameters=explanation_pb2.AnomalyScoreParameters(level=2.0),
    )
    refusal = await refused(stub, request, "ScoreAnomalies")
    assert refusal == ("INVALID_ARGUMENT", "PARAMETER_OUT_OF_RANGE", "parameters.level")


async def test_an_unknown_latent_space(stub):
    code, reason, _ = await refused(stub, asked(latent_ranking=Ranking(latent_space="made-up")))
    assert code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
    assert reason in ("PARAMETER_OUT_OF_RANGE", "EXPLANATION_UNSUPPORTED")


async def test_a_wrong_size_is_taken_where_the_request_says_so(stub):
    picture = Image.fromarray(digit()).resize((56, 56))
    answer = await stub.Explain(asked(image=encoded(saved(picture), resize=True)))
    same = await stub.Explain(asked())
    assert answer.prediction.class_index == same.prediction.class_index


async def test_in_a_stream_the_other_items_are_unharmed(stub):
    names = [*BAD_IMAGES, "good", "good too"]
    items = [
        explanation_service_pb2.StreamExplainRequest(
            item_id=name, request=asked(image=BAD_IMAGES[name][0]) if name in BAD_IMAGES else asked()
        )
        for name in names
    ]
    answers = {answer.item_id: answer async for answer in stub.StreamExplain(iter(items))}
    assert answers.keys() == set(names)
    assert {name for name, answer in answers.items() if answer.HasField("response")} == {"good", "good too"}
    assert {answers[name].error.code for name in BAD_IMAGES} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}


async def test_in_a_batch_the_other_images_are_unharmed(stub):
    good = saved(Image.fromarray(digit()))
    images = [good, b"not an image", PNG[:40], bomb(), good]
    answer = await stub.ScoreAnomalies(
        explanation_service_pb2.ScoreAnomaliesRequest(
            model="mnist", encoded=explanation_service_pb2.EncodedImages(images=images)
        )
    )
    assert [error.index for error in answer.errors] == [1, 2, 3]
    assert answer.class_indices[0] == answer.class_indices[4] >= 0
    assert np.isfinite(answer.p_values[0])
    assert answer.p_values[0] == answer.p_values[4]


async def test_everything_at_once_is_answered(stub):
    answer = await stub.Explain(
        asked(latent_ranking=Ranking(), anomaly_score=Anomaly(), path_mask=Mask(), top_classes=2), timeout=60
    )
    assert len(answer.prediction.scores) == 2
    assert answer.latent_ranking.latents
    assert 0 < answer.anomaly_score.p_value <= 1
    assert answer.path_mask.outcome == explanation_pb2.PATH_MASK_OUTCOME_CONVERGED
    assert list(answer.path_mask.attribution.shape) == [28, 28]
    assert len(answer.provenance.bundle_digest) == 64
    assert {timing.stage for timing in answer.provenance.timings} >= {"predict", "path_mask"}


async def test_images_that_are_asked_for_as_bytes_are_a_fourth_as_large(stub):
    wide, narrow = [
        (await stub.Explain(asked(path_mask=Mask(include_path=True), image_dtype=dtype), timeout=60)).path_mask
        for dtype in (explanation_pb2.DATA_TYPE_UNSPECIFIED, explanation_pb2.DATA_TYPE_UINT8)
    ]
    for name in ("mask", "other_image", "reconstruction", "path"):
        few, many = getattr(narrow, name), getattr(wide, name)
        assert (few.dtype, few.shape) == (explanation_pb2.DATA_TYPE_UINT8, many.shape)
        difference = np.frombuffer(few.values, np.uint8) / 255 - np.frombuffer(many.values, np.float32)
        assert np.abs(difference).max() <= 0.5 / 255 + 1e-6
    assert narrow.attribution == wide.attribution
