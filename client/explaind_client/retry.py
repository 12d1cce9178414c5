"""How a channel retries and keeps alive: gRPC does it itself, from the service config we give it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

SERVICES = ("explaind.v1.ExplanationService", "explaind.v1.ModelService")
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Repeats a call that was refused or lost; every call here only reads, so repeating is safe.

    attempts: calls in all, 1 to 5 (gRPC allows no more); 1 never retries. Too many: a struggling daemon is asked
    more by everyone at once; too few: a restart shows as errors.
    initial_backoff, max_backoff: seconds before the second attempt, and at most. multiplier: of one wait to the next.
    codes: what is retried. A daemon's `grpc-retry-pushback-ms` overrules the wait.
    throttle_tokens: at least 100, at most 1000. A failed call takes one, a good one gives a tenth back, and below half
    there are no retries; too few, and one burst of refusals ends retrying for the whole channel.
    """

    attempts: int = 4
    initial_backoff: float = 0.1
    max_backoff: float = 1.0
    multiplier: float = 2.0
    codes: tuple[str, ...] = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
    throttle_tokens: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise ValueError(f"attempts is {self.attempts}; gRPC allows 1 to 5.")
        if not 0 < self.initial_backoff <= self.max_backoff:
            raise ValueError("initial_backoff must be positive and at most max_backoff.")
        if self.multiplier <= 0:
            raise ValueError(f"multiplier is {self.multiplier}; it must be positive.")
        if not 100 <= self.throttle_tokens <= 1000:
            raise ValueError(f"throttle_tokens is {self.throttle_tokens}; choose 100 to 1000.")

    def service_config(self) -> str:
        """gRPC's service config as JSON: this policy for both services, round-robin over the addresses of a name."""
        method: dict[str, object] = {"name": [{"service": service} for service in SERVICES]}
        if self.attempts > 1:
            method["retryPolicy"] = self._grpc_policy()
        return json.dumps(
            {
                "loadBalancingConfig": [{"round_robin": {}}],
                "methodConfig": [method],
                "retryThrottling": {"maxTokens": self.throttle_tokens, "tokenRatio": 0.1},
            }
        )

    def _grpc_policy(self) -> dict[str, object]:
        return {
            "maxAttempts": self.attempts,
            "initialBackoff": f"{self.initial_backoff:g}s",
            "maxBackoff": f"{self.max_backoff:g}s",
            "backoffMultiplier": self.multiplier,
            "retryableStatusCodes": list(self.codes),
        }


NO_RETRY = RetryPolicy(attempts=1)


def channel_options(policy: RetryPolicy) -> Sequence[tuple[str, int | str]]:
    """Keepalive is 30 s because the daemon answers a ping more often than every 10 s with too_many_pings."""
    return (
        ("grpc.service_config", policy.service_config()),
        ("grpc.enable_retries", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    )
