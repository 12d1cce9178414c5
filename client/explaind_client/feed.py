"""The sending half of a blocking stream: a window on what is under way, and what never left this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.errors import ExplaindError
from explaind_client.images import ImageLike
from explaind_client.requests import Ask, StreamItem


class Feed:
    """gRPC pulls `requests` from a thread of its own, while the caller's thread reads the answers."""

    def __init__(self, items: Iterable[tuple[str, ImageLike]], ask: Ask, window: int) -> None:
        if window < 1:
            raise ValueError(f"window is {window}; it must be at least 1.")
        self._items, self._ask = items, ask
        self._room = threading.Semaphore(window)
        self._refused: deque[StreamItem] = deque()
        self._failure: BaseException | None = None
        self._closed = False

    def requests(self) -> Iterator[service_pb.StreamExplainRequest]:
        try:
            for item_id, image in self._items:
                request = self._request(item_id, image)
                if request is None:
                    continue
                self._room.acquire()
                if self._closed:
                    return
                yield request
        except Exception as exc:  # the caller's iterable failed: gRPC would hide that behind UNKNOWN
            self._failure = exc

    def answered(self) -> None:
        self._room.release()

    def refused(self) -> Iterator[StreamItem]:
        """Items that were not sent, because their image could not be read."""
        while self._refused:
            yield self._refused.popleft()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Lets a sender that waits for room go home."""
        self._closed = True
        self._room.release()

    def _request(self, item_id: str, image: ImageLike) -> service_pb.StreamExplainRequest | None:
        try:
            return service_pb.StreamExplainRequest(item_id=item_id, request=self._ask.request(image))
        except ExplaindError as exc:
            self._refused.append(StreamItem(item_id=item_id, error=exc))
            return None
