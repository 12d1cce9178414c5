import grpc
import numpy as np
import pytest

from explaind.v1 import explanation_pb2, explanation_service_pb2, model_service_pb2

pytestmark = pytest.mark.asyncio


def batch(values):
    array = np.broadcast_to(np.asarray(values, dtype="<f4")[:, None, None, None], (len(values), 1, 4, 4))
    return explanation_pb2.Tensor(
        shape=array.shape, dtype=explanation_pb2.DATA_TYPE_FLOAT32, values=array.astype("<f4").tobytes()
    )


async def test_a_batch_is_answered_by_parallel_arrays(start):
    running = await start()
    request = explanation_service_pb2.ScoreAnomaliesRequest(model="small", batch=batch([0.25, 0.75, 1.0]))
    answer = await running.explanations.ScoreAnomalies(request)
    assert list(answer.class_indices) == [0, 1, 1]
    assert list(answer.scores) == [0.25, 0.75, 1.0]
    assert list(answer.anomalous) == [False, False, True]
    assert not answer.errors
    assert answer.provenance.bundle_digest == "b" * 64


async def test_bad_images_get_their_own_status(start):
    running = await start()
    images = explanation_service_pb2.EncodedImages(images=[b"not an image", b""])
    request = explanation_service_pb2.ScoreAnomaliesRequest(model="small", encoded=images)
    answer = await running.explanations.ScoreAnomalies(request)
    assert [error.index for error in answer.errors] == [0, 1]
    assert {error.status.code for error in answer.errors} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}
    assert list(answer.class_indices) == [-1, -1]
    assert np.isnan(answer.p_values).all()


async def test_a_batch_too_large_is_refused_as_a_whole(start):
    running = await start(max_batch_images=2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explanations.ScoreAnomalies(
            explanation_service_pb2.ScoreAnomaliesRequest(model="small", batch=batch([0.1] * 3))
        )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 2" in caught.value.details()


@pytest.mark.parametrize(("shape", "large"), [((1, 28, 28), 256), ((3, 64, 64), 17)])
async def test_a_batch_of_many_pixels_takes_the_slow_lane(start, small_engine, shape, large):
    """Of the model's images: what a file will decode to is not known yet."""
    running = await start(small_engine(image_shape=shape))
    for count in (large, large - 1):
        request = explanation_service_pb2.ScoreAnomaliesRequest(model="small", batch=batch([0.1] * count))
        assert len((await running.explanations.ScoreAnomalies(request)).scores) == count
    waits = "explaind_queue_wait_seconds_count"
    registry = running.server.metrics.registry
    assert registry.get_sample_value(waits, {"cost_class": "slow"}) == 1
    assert registry.get_sample_value(waits, {"cost_class": "fast"}) == 1


async def test_a_batch_for_no_model_is_refused_as_what_it_is(start):
    running = await start()
    for model, code in (("other", grpc.StatusCode.NOT_FOUND), ("", grpc.StatusCode.INVALID_ARGUMENT)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.explanations.ScoreAnomalies(
                explanation_service_pb2.ScoreAnomaliesRequest(model=model, batch=batch([0.1]))
            )
        assert caught.value.code() is code


async def test_models_are_listed_and_described(start):
    running = await start()
    (summary,) = (await running.models.ListModels(model_service_pb2.ListModelsRequest())).models
    assert (summary.name, list(summary.versions), summary.default_version) == ("small", ["1"], "1")
    model = (await running.models.GetModel(model_service_pb2.GetModelRequest(model="small"))).model
    assert list(model.image_shape) == [1, 4, 4]
    assert model.file_digests == {"weights": "c" * 64}
    assert [(b.name, b.alive) for b in model.backends] == [("onnx", True)]


@pytest.mark.parametrize(("name", "code"), [("", "INVALID_ARGUMENT"), ("other", "NOT_FOUND")])
async def test_a_model_that_is_not_there_is_typed(start, name, code):
    running = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.models.GetModel(model_service_pb2.GetModelRequest(model=name))
    assert caught.value.code().name == code
