from __future__ import annotations

import grpc
import pytest
from google.rpc import status_pb2

from explaind import errors as daemon_errors
from explaind.service import status as service_status
from explaind_client import NO_RETRY, Client, errors
from tests.client.stand_in import BUSY, UNDECODABLE, StandIn, picture, status


def _tree(root: type) -> list[type]:
    return [root, *(found for child in root.__subclasses__() for found in _tree(child))]


INTERNAL = _tree(daemon_errors.ConfigurationError)  # the daemon shows these as INTERNAL
PUBLIC = [kind for kind in _tree(daemon_errors.ExplaindError) if kind not in INTERNAL]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_every_error_of_the_daemon_has_its_counterpart(kind: type[daemon_errors.ExplaindError]) -> None:
    arguments = {"field": "image"} if issubclass(kind, daemon_errors.InvalidRequest) else {}
    translated = errors.from_status(service_status.from_error(kind("What to do.", **arguments), request_id="r1"))
    assert translated.reason == kind.reason
    if kind is not daemon_errors.ExplaindError:
        assert type(translated).__name__ == kind.__name__
        assert str(translated) == "What to do."
        assert translated.request_id == "r1"


@pytest.mark.parametrize("kind", _tree(errors.ExplaindError), ids=lambda kind: kind.__name__)
def test_tree_is_drawn_in_the_docstring(kind: type) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


def test_field_and_wait_come_from_the_details() -> None:
    assert errors.from_status(UNDECODABLE).field == "image.encoded"
    busy = errors.from_status(BUSY)
    assert isinstance(busy, errors.QueueFull)
    assert busy.retry_after == pytest.approx(0.01)
    assert busy.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_reason_of_a_newer_daemon_keeps_its_word_and_gets_the_codes_class() -> None:
    error = errors.from_status(status(grpc.StatusCode.INVALID_ARGUMENT, "MOON_TOO_FULL"))
    assert type(error) is errors.InvalidRequest
    assert error.reason == "MOON_TOO_FULL"


def test_status_of_an_unknown_code_is_unexpected() -> None:
    assert isinstance(errors.from_status(status_pb2.Status(code=99, message="?")), errors.Unexpected)


def test_nobody_there_says_what_to_do() -> None:
    with Client("127.0.0.1:1", retry=NO_RETRY) as client, pytest.raises(errors.ServerUnreachable) as caught:
        client.list_models(request_id="mine")
    assert "explaind serve" in str(caught.value)
    assert caught.value.request_id == "mine"


def test_waiting_for_nobody_ends() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(errors.ServerUnreachable):
        client.wait_until_reachable(timeout=0.2)


def test_deadline_is_typed(client: Client, stand_in: StandIn) -> None:
    stand_in.seconds = 1.0
    with pytest.raises(errors.DeadlineExceeded, match=r"0\.1 s"):
        client.explain(picture(1), model="digits", timeout=0.1)


def test_message_over_the_transports_limit_is_the_images_fault(client: Client) -> None:
    with pytest.raises(errors.MessageTooLarge):
        client.score_anomalies([b"\x89PNG" + bytes(15 * 2**20)] * 3, model="digits")


def test_an_answer_over_the_transports_limit_is_not_the_images_fault(client: Client, stand_in: StandIn) -> None:
    stand_in.padding = 65 * 2**20
    with pytest.raises(errors.InvalidRequest, match="ask for less") as caught:
        client.explain(picture(1), model="digits")
    assert not isinstance(caught.value, errors.ImageTooLarge)
    assert len(stand_in.requests) == 1, "asking again would bring the same"


def test_model_not_found_says_what_there_is(client: Client) -> None:
    with pytest.raises(errors.ModelNotFound) as caught:
        client.get_model("moons")
    assert caught.value.metadata == {"models": "digits"}
