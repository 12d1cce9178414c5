from __future__ import annotations

import json

import grpc
import pytest

from explaind_client import NO_RETRY, Client, RetryPolicy
from explaind_client.errors import BackendUnavailable, InvalidRequest, QueueFull
from explaind_client.retry import channel_options
from tests.client.stand_in import BUSY, GONE, StandIn, picture, status


def test_service_config_covers_both_services() -> None:
    config = json.loads(RetryPolicy().service_config())
    method = config["methodConfig"][0]
    assert {name["service"] for name in method["name"]} == {
        "explaind.v1.ExplanationService",
        "explaind.v1.ModelService",
    }
    assert method["retryPolicy"] == {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2.0,
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    }
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert config["retryThrottling"]["maxTokens"] >= 100


def test_keepalive_is_what_the_daemon_allows() -> None:
    assert dict(channel_options(RetryPolicy()))["grpc.keepalive_time_ms"] >= 30_000


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"attempts": 6}, {"initial_backoff": 0.0}, {"initial_backoff": 2.0}, {"multiplier": 0.0},
     {"throttle_tokens": 10}],
)  # fmt: skip
def test_policy_that_grpc_would_not_take_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[-1]):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_lost_calls_are_repeated_under_one_request_id(client: Client, stand_in: StandIn) -> None:
    stand_in.failures.extend([GONE, BUSY, GONE])
    answer = client.explain(picture(3), model="digits")
    assert answer.prediction.class_index == 3
    assert len(stand_in.request_ids) == 4
    assert len(set(stand_in.request_ids)) == 1


def test_after_the_last_attempt_the_error_is_the_daemons(client: Client, stand_in: StandIn) -> None:
    stand_in.failures.extend([GONE] * 4)
    with pytest.raises(BackendUnavailable) as caught:
        client.explain(picture(3), model="digits")
    assert caught.value.retry_after == pytest.approx(0.01)
    assert len(stand_in.request_ids) == 4


def test_what_is_wrong_with_the_request_is_not_repeated(client: Client, stand_in: StandIn) -> None:
    stand_in.failures.append(status(grpc.StatusCode.INVALID_ARGUMENT, "PARAMETER_OUT_OF_RANGE"))
    with pytest.raises(InvalidRequest):
        client.explain(picture(3), model="digits")
    assert len(stand_in.request_ids) == 1


def test_pushback_can_forbid_a_retry(client: Client, stand_in: StandIn) -> None:
    stand_in.pushback_ms = "-1"
    stand_in.failures.append(BUSY)
    with pytest.raises(QueueFull):
        client.explain(picture(3), model="digits")
    assert len(stand_in.request_ids) == 1


def test_retrying_can_be_switched_off(address: str, stand_in: StandIn) -> None:
    stand_in.failures.append(GONE)
    with Client(address, retry=NO_RETRY) as client, pytest.raises(BackendUnavailable):
        client.list_models()
    assert len(stand_in.request_ids) == 1
