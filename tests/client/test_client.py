from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from explaind.service import request_ids
from explaind.v1 import explanation_pb2 as pb
from explaind_client import Ask, Client, PathMaskParameters
from explaind_client.errors import ImageUndecodable, InvalidRequest, ParameterOutOfRange, ServerUnreachable
from explaind_client.requests import REQUEST_ID
from tests.client.stand_in import BUSY, StandIn, picture


def test_explain_asks_what_was_asked(client: Client, stand_in: StandIn) -> None:
    client.explain(
        picture(1),
        model="digits",
        version="2",
        anomaly_score=True,
        path_mask=PathMaskParameters(seed=7),
        uint8_images=True,
    )
    request = stand_in.requests[-1]
    assert request.image_dtype == pb.DATA_TYPE_UINT8
    assert (request.model, request.model_version) == ("digits", "2")
    assert request.HasField("anomaly_score")
    assert not request.HasField("latent_ranking")
    assert request.path_mask.seed == 7


def test_every_call_has_a_deadline_and_a_request_id(client: Client, stand_in: StandIn) -> None:
    client.explain(picture(1), model="digits")
    client.score_anomalies([picture(1)], model="digits")
    client.list_models()
    client.get_model("digits")
    client.compare_latents(picture(1), picture(2), model="digits")
    client.traverse_latents(picture(1), model="digits")
    list(client.stream([("a", picture(1))], ask=Ask(model="digits")))
    assert all(0 < remaining < 601 for remaining in stand_in.remaining)
    assert len(set(stand_in.request_ids)) == 7 and all(stand_in.request_ids)


def test_the_callers_request_id_is_kept(client: Client, stand_in: StandIn) -> None:
    client.list_models(request_id="order-66")
    assert stand_in.request_ids == ["order-66"]


def test_a_request_id_is_what_a_daemon_takes_as_one() -> None:
    assert REQUEST_ID.pattern == request_ids.ACCEPTED.pattern


@pytest.mark.parametrize("request_id", ["x" * 129, "two\nlines", "two words", "é"])
def test_request_id_that_no_header_holds_is_refused(client: Client, request_id: str) -> None:
    with pytest.raises(InvalidRequest):
        client.list_models(request_id=request_id)


def test_metadata_goes_with_every_call(address: str, stand_in: StandIn) -> None:
    with Client(address, metadata=(("x-request-id", "mine"), ("authorization", "Bearer t"))) as client:
        client.list_models()
    assert stand_in.request_ids


def test_scores_of_an_array(client: Client, stand_in: StandIn) -> None:
    answer = client.score_anomalies(np.zeros((3, 28, 28), np.uint8), model="digits", resize=True)
    assert len(answer.class_indices) == 3
    assert list(stand_in.requests[-1].batch.shape) == [3, 1, 28, 28]
    assert stand_in.requests[-1].resize


def test_two_images_are_compared(client: Client, stand_in: StandIn) -> None:
    answer = client.compare_latents(picture(1), picture(2), model="digits", version="2", latent_space="codes")
    assert (answer.differences[0].label, answer.same_p_value) == ("width", 0.25)
    assert stand_in.asked == [picture(1), picture(2)]
    request = stand_in.requests[-1]
    assert (request.model, request.model_version, request.latent_space) == ("digits", "2", "codes")
    client.compare_latents(np.zeros((2, 2), np.uint8), picture(2), model="digits", resize=True)
    assert stand_in.requests[-1].image_a.resize and stand_in.requests[-1].image_b.resize


def test_latents_are_traversed(client: Client, stand_in: StandIn) -> None:
    answer = client.traverse_latents(picture(1), model="digits", dimensions=[3, 1], low=0.0, steps=5, hold="zero")
    assert [traversal.dimension for traversal in answer.traversals] == [3, 1]
    request = stand_in.requests[-1]
    assert (request.low, request.steps, request.hold) == (0.0, 5, pb.HOLD_ZERO)
    assert request.HasField("low") and not request.HasField("high")
    client.traverse_latents(picture(1), model="digits")
    assert not stand_in.requests[-1].dimension and not stand_in.requests[-1].HasField("steps")


def test_a_hold_that_there_is_not_is_named(client: Client, stand_in: StandIn) -> None:
    with pytest.raises(ParameterOutOfRange, match="encoded or zero") as caught:
        client.traverse_latents(picture(1), model="digits", hold="mean")  # type: ignore[arg-type]
    assert caught.value.field == "hold" and not stand_in.requests


def test_a_bad_image_of_two_is_typed(client: Client, stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(ImageUndecodable):
        client.compare_latents(picture(1), b"junk", model="digits")
    with pytest.raises(ImageUndecodable):
        client.compare_latents(picture(1), tmp_path / "missing.png", model="digits")
    with pytest.raises(ImageUndecodable):
        client.traverse_latents(b"junk", model="digits")


def test_stream_answers_every_item_and_errors_by_themselves(client: Client, stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.item_failures.append(BUSY)
    items: list[tuple[str, bytes | Path]] = [(f"{i}", picture(i)) for i in range(30)]
    items[5], items[6] = ("5", b"not a picture"), ("6", tmp_path / "missing.png")
    answers = {item.item_id: item for item in client.stream(items, ask=Ask(model="digits"), window=4)}
    assert set(answers) == {f"{i}" for i in range(30)}
    errors = {name: item.error.reason for name, item in answers.items() if item.error is not None}
    assert errors == {"0": "QUEUE_FULL", "5": "IMAGE_UNDECODABLE", "6": "IMAGE_UNDECODABLE"}
    response = answers["7"].response
    assert response is not None and response.prediction.class_index == 7


def test_stream_reads_no_further_ahead_than_its_window(client: Client, stand_in: StandIn) -> None:
    read = []

    def items() -> Iterator[tuple[str, bytes]]:
        for i in range(50):
            read.append(i)
            yield f"{i}", picture(i)

    ahead = []
    for answered, _ in enumerate(client.stream(items(), ask=Ask(model="digits"), window=3), start=1):
        ahead.append(len(read) - answered)
    assert len(ahead) == 50
    assert max(ahead) <= 3 + 1  # one more waits for room


def test_failing_items_show_as_themselves(client: Client) -> None:
    def items() -> Iterator[tuple[str, bytes]]:
        yield "a", picture(1)
        raise ZeroDivisionError("the caller's own")

    with pytest.raises(ZeroDivisionError, match="the caller's own"):
        list(client.stream(items(), ask=Ask(model="digits")))


def test_leaving_a_stream_cancels_it(client: Client, stand_in: StandIn) -> None:
    stand_in.seconds = 0.02
    stream = client.stream(((f"{i}", picture(i)) for i in range(1000)), ask=Ask(model="digits"), window=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert stand_in.cancelled.wait(5)
    time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if "consum" in thread.name and thread.is_alive()]


def test_lost_stream_raises(stand_in: StandIn) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(ServerUnreachable):
        list(client.stream([("a", picture(1))], ask=Ask(model="digits"), timeout=5))


def test_window_must_have_room(client: Client) -> None:
    with pytest.raises(ValueError, match="window"):
        list(client.stream([], ask=Ask(model="digits"), window=0))


def test_unreadable_image_never_leaves(client: Client, stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(ImageUndecodable):
        client.explain(tmp_path / "missing.png", model="digits")
    assert not stand_in.request_ids


def test_ready_message_is_sent_as_it_is(client: Client, stand_in: StandIn) -> None:
    client.explain(pb.Image(encoded=picture(4), resize=True), model="digits")
    assert stand_in.requests[-1].image == pb.Image(encoded=picture(4), resize=True)
