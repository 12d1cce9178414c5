import grpc
import pytest

from explaind.v1 import explanation_pb2, explanation_service_pb2

pytestmark = pytest.mark.asyncio


async def test_prediction_only_is_the_answer_to_a_bare_request(start):
    running = await start()
    answer = await running.explain(0.9)
    assert (answer.model, answer.model_version) == ("small", "1")
    assert answer.prediction.class_name == "bright"
    assert [score.class_name for score in answer.prediction.scores] == ["bright", "dark"]
    assert not answer.HasField("latent_ranking")
    assert not answer.HasField("anomaly_score")
    assert not answer.HasField("path_mask")
    assert answer.provenance.bundle_digest == "b" * 64
    assert len(answer.provenance.request_id) == 32
    assert answer.provenance.time.seconds > 0


async def test_top_classes_bounds_the_scores(start):
    running = await start()
    answer = await running.explain(0.1, top_classes=1)
    assert [score.class_name for score in answer.prediction.scores] == ["dark"]


async def test_request_id_of_the_caller_comes_back(start, request_for):
    running = await start()
    call = running.explanations.Explain(request_for(), metadata=(("x-request-id", "mine-1"),))
    answer = await call
    assert answer.provenance.request_id == "mine-1"
    assert ("x-request-id", "mine-1") in list(await call.trailing_metadata())


@pytest.mark.parametrize("bad", ["", "x" * 129, "a b"])
async def test_an_unusable_request_id_is_replaced(start, request_for, bad):
    running = await start()
    call = running.explanations.Explain(request_for(), metadata=(("x-request-id", bad),))
    answer = await call
    assert answer.provenance.request_id != bad
    assert ("x-request-id", answer.provenance.request_id) in list(await call.trailing_metadata())


async def test_request_id_comes_back_with_an_error_too(start, request_for):
    running = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explanations.Explain(request_for(model="other"), metadata=(("x-request-id", "mine-2"),))
    assert ("x-request-id", "mine-2") in list(caught.value.trailing_metadata())


async def test_model_calls_are_made_in_the_callers_name(start, small_engine, request_for):
    """Request id, budget and cost class: what the backend's log, and whoever orders calls, go by."""
    running = await start(small_engine(image_shape=(1, 28, 28)))
    named = (("x-request-id", "mine-3"),)
    image = request_for().image
    await running.explanations.Explain(request_for(), metadata=named, timeout=60)
    await running.explanations.Explain(request_for(path_mask=explanation_pb2.PathMaskParameters()), metadata=named)
    few, many = (
        explanation_service_pb2.ScoreAnomaliesRequest(
            model="small", encoded=explanation_service_pb2.EncodedImages(images=[b"none"] * count)
        )
        for count in (1, 256)
    )
    await running.explanations.ScoreAnomalies(few, metadata=named)
    await running.explanations.ScoreAnomalies(many, metadata=named)
    compare = explanation_service_pb2.CompareLatentsRequest(model="small", image_a=image, image_b=image)
    await running.explanations.CompareLatents(compare, metadata=named)
    assert {context.request_id for context, _ in running.engine.asked_for} == {"mine-3"}
    assert all(context.budget is budget for context, budget in running.engine.asked_for)
    assert running.engine.asked_for[0][0].deadline is not None
    classes = [context.cost_class.value for context, _ in running.engine.asked_for]
    assert classes == ["fast", "slow", "fast", "slow", "fast"]
