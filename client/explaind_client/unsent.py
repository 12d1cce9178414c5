"""What both feeds keep of a stream: items that never left this process, and the failure of the caller's iterable."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.errors import ExplaindError
from explaind_client.images import ImageLike
from explaind_client.requests import Ask, StreamItem


class Unsent:
    """window: items under way at once."""

    def __init__(self, ask: Ask, window: int) -> None:
        if window < 1:
            raise ValueError(f"window is {window}; it must be at least 1.")
        self._ask = ask
        self._refused: deque[StreamItem] = deque()
        self._failure: BaseException | None = None

    def refused(self) -> Iterator[StreamItem]:
        """Items that were not sent, because their image could not be read."""
        while self._refused:
            yield self._refused.popleft()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _request(self, item_id: str, image: ImageLike) -> service_pb.StreamExplainRequest | None:
        """Reads the image's file; None where it cannot be read."""
        try:
            return service_pb.StreamExplainRequest(item_id=item_id, request=self._ask.request(image))
        except ExplaindError as exc:
            self._refused.append(StreamItem(item_id=item_id, error=exc))
            return None
