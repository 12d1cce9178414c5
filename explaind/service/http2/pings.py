"""Which of a peer's pings come too early: a peer may ask whether we live, and measure the line when we answer."""

from __future__ import annotations

MOST_STRIKES = 2
"""Pings in a row that come too early; with one more the connection ends, as in gRPC's own servers."""


class PingLimit:
    """least: seconds between two pings, without an answer in between."""

    def __init__(self, least: float) -> None:
        self._least = least
        self.answering()

    def answering(self) -> None:
        """Something is sent for which a peer may well measure the line anew."""
        self._last, self._strikes = float("-inf"), 0

    def exceeded(self, now: float) -> bool:
        """Whether a ping that comes `now` is one too many."""
        self._strikes = self._strikes + 1 if now - self._last < self._least else 0
        self._last = now
        return self._strikes > MOST_STRIKES
